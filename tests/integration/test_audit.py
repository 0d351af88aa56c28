"""The audit: one record per admitted URL, also while the crawl runs."""

from __future__ import annotations

import threading

import standin

from crawl.audit import audit


def test_an_audit_of_a_running_crawl_misses_nothing(frontier, host):
    """URLs move from waiting to leased to recorded while the audit reads; none is taken for lost."""
    options = standin.options(batch=3)
    standin.admit(frontier, options, *standin.pages(host, 400))
    ended = threading.Event()

    def crawl() -> None:
        while batches := standin.lease(frontier, options):
            for batch in batches:
                standin.visit(frontier, batch, options)
        ended.set()

    worker = threading.Thread(target=crawl)
    worker.start()
    found = []
    while not ended.is_set():
        found.append(audit(frontier.client, frontier.crawl))
    worker.join()
    last = audit(frontier.client, frontier.crawl)

    assert [one for one in found if not one.clean] == []
    assert any(one.pending for one in found)
    assert (last.records, last.missing, last.duplicate) == (400, 0, 0)
