"""What crosses a process arrives as it left."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl import names, records, urls
from crawl.records import CrawlOptions, FetchRequest, PageRecord, PageRef

_paths = st.text(st.characters(exclude_categories=("Cs",)), max_size=30).map(lambda text: "/" + text)
_hosts = st.sampled_from(["http://a.test", "https://a.test", "http://a.test:8080", "http://[::1]:81"])
_urls = (
    st.builds(lambda host, path: urls.canonical(host + path), _hosts, _paths)
    .filter(lambda url: url is not None)
    .map(str)
)
_counts = st.integers(min_value=0, max_value=10**6)
_requests = st.builds(
    FetchRequest,
    url=_urls,
    kind=st.just(names.PAGE),
    depth=_counts,
    via=st.sampled_from([names.SEED, names.LINK, names.REDIRECT, "sitemap"]),
    parent=st.none() | _urls,
    hops=_counts,
    queued_ms=st.integers(min_value=0, max_value=2**53),
    attempts=_counts,
    losses=_counts,
    alone=st.booleans(),
    generation=st.integers(0, 99),
)


@given(_requests)
def test_a_waiting_request_survives_its_line_in_the_frontier(request: FetchRequest) -> None:
    """Every field of every request can be read back from its entry."""
    assert records.decode_entry(records.encode_entry(request)) == request


@given(_requests)
def test_an_entry_has_its_fields_in_the_place_where_the_scripts_look(request: FetchRequest) -> None:
    """Scripts cut an entry at its first eight spaces, so none may hide in a field."""
    entry = records.encode_entry(request)
    fields = entry.split(" ")

    assert len(fields) == 9
    assert fields[0] == str(request.attempts)
    assert fields[1] == str(request.losses)
    assert fields[3] == str(request.depth)
    assert fields[8] == request.url


def test_a_parent_on_the_same_origin_costs_only_its_path() -> None:
    """A frontier of millions keeps most parents, and most are neighbours."""
    request = FetchRequest("http://a.test/b", via=names.LINK, parent="http://a.test/index.html")

    assert " /index.html http://a.test/b" in records.encode_entry(request)
    assert "a.test/index.html" not in records.encode_entry(request)


def test_a_parent_whose_host_only_begins_alike_is_kept_whole() -> None:
    """`http://a.test` is no prefix of the origin `http://a.test.evil`."""
    request = FetchRequest("http://a.test/b", via=names.LINK, parent="http://a.test.evil/index.html")

    assert records.decode_entry(records.encode_entry(request)) == request


@pytest.mark.parametrize("reason", ["dns", "connect", "timeout", "reset"])
def test_network_trouble_is_transient(reason: str) -> None:
    """DESIGN section 7: these are tried again."""
    assert PageRef(0, "failed", reason).transient


@pytest.mark.parametrize(
    ("status", "transient"),
    [
        *((status, True) for status in (408, 425, 429, 500, 502, 503, 504)),
        *((status, False) for status in (400, 403, 404, 410, 501, 505, None)),
    ],
)
def test_a_status_decides_whether_a_refusal_is_transient(status: int | None, transient: bool) -> None:
    """Only the seven statuses of DESIGN section 7 are tried again."""
    assert PageRef(0, "failed", "http", status=status).transient is transient


@pytest.mark.parametrize("reason", sorted(set(records.REASONS) - records.TRANSIENT_REASONS - {"http"}))
def test_every_other_reason_is_final(reason: str) -> None:
    """A final failure becomes a record at once."""
    assert not PageRef(0, "failed", reason).transient
    assert not PageRef(0, "skipped", reason).transient


def test_a_page_that_came_is_never_transient() -> None:
    """Outcome ok ends a URL, whatever its status says."""
    assert not PageRef(0, "ok", status=503).transient


def test_a_page_record_has_the_fields_of_the_contract_in_order() -> None:
    """Exports write the fields in this order; they change only by adding."""
    expected = (
        "crawl url via parent depth attempts outcome redirect_to reason detail status content_type charset bytes "
        "sha256 etag last_modified title description canonical_link lang text_length links data queued_at "
        "started_at fetched_at parsed_at fetch_ms parse_ms wait_ms pool slot worker parse_pool parse_worker lease "
        "parse_slot kind robots open_graph json_ld text generation"
    )

    assert expected == " ".join(PageRecord.__struct_fields__)


def test_a_page_record_survives_json() -> None:
    """The record in Redis and the line of an export are the same bytes."""
    record = PageRecord(
        "c", "http://a.test/", "seed", None, 0, 1, "ok", links=["http://a.test/ü"], data={"a": 1}
    )

    assert records.record_from_json(records.to_json(record)) == record


def test_a_record_with_an_unknown_outcome_is_refused() -> None:
    """A stored record that is none is an error, not a page."""
    with pytest.raises(msgspec.ValidationError):
        records.record_from_json(
            b'{"crawl":"c","url":"u","via":"seed","parent":null,"depth":0,"attempts":1,"outcome":"?"}'
        )


def test_two_records_share_no_list() -> None:
    """A default list belongs to one record only."""
    first = PageRecord("c", "http://a.test/", "seed", None, 0, 1, "ok")
    first.links.append("http://a.test/b")

    assert PageRecord("c", "http://a.test/", "seed", None, 0, 1, "ok").links == []


def test_frozen_options_cannot_be_changed() -> None:
    """What was submitted stays what it was."""
    with pytest.raises(AttributeError):
        CrawlOptions().batch = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "transient"),
    [
        ({"reason": "connect"}, True),
        ({"reason": "http", "status": 503}, True),
        ({"reason": "http", "status": 404}, False),
        ({"reason": "protocol"}, False),
        ({"reason": "connect", "requested": False}, False),
    ],
)
def test_only_a_request_that_was_made_and_may_fare_better_is_worth_another(changes, transient):
    """A host that was given up is not asked again for each of its URLs: nothing was tried, nothing is retried."""
    assert PageRef(index=0, outcome="failed", **changes).transient is transient
