"""Every Redis key, in one place.

All keys start with `poolcrawl:`; Celery's own start with `celery:` (`BROKER_PREFIX`). Each function's docstring
gives type, writer and lifetime. Scripts get names as KEYS, as members of index sets, or as prefixes in ARGV.
`docs/keys.md` lists them for people, and a test holds the two together.
"""

from __future__ import annotations

PREFIX = "poolcrawl:"
#: Prefix of Celery's queues and bookkeeping (kombu's `global_keyprefix`).
BROKER_PREFIX = "celery:"


def crawls() -> str:
    """zset, crawl name -> creation time (Redis ms). Written by `create`; kept until the crawl is deleted."""
    return f"{PREFIX}crawls"


def workers() -> str:
    """zset, worker name -> expiry (Redis ms). Written by each worker's heartbeat; stale members are ignored."""
    return f"{PREFIX}workers"


def worker(name: str) -> str:
    """hash: pool, slots, queues, busy, started_at, pid. Written by the worker's heartbeat; expires after three."""
    return f"{PREFIX}worker:{name}"


def host(name: str) -> str:
    """hash: ended, hold, expected_ms (all ms), what it failed or refused in a row, and what crawls ask of it.

    `ended` is the end of its last request. `fails` and `refused` are counts, with `fail_reason`, `refusal` (a status)
    and `refused_at`. `robots_delay <robots key>` per origin; `delay`, `cap`, `adaptive <crawl>` per active crawl.
    Shared by all crawls. Written by `lease`, `fetched`, `complete`, `reap`, `forget`; expires a day after its last use.
    """
    return f"{PREFIX}host:{name}"


def host_prefix() -> str:
    """Prefix of `host`, as an argument of scripts."""
    return f"{PREFIX}host:"


def host_out_prefix() -> str:
    """Prefix of `host_out`, as an argument of scripts."""
    return f"{PREFIX}host-out:"


def host_out(name: str) -> str:
    """zset, lease key -> expiry (ms): the host's outstanding batches. Written by `lease`, `renew`, `fetched`."""
    return f"{PREFIX}host-out:{name}"


def host_queues_prefix() -> str:
    """Prefix of `host_queues`, as an argument of scripts."""
    return f"{PREFIX}host-queues:"


def host_queues(name: str) -> str:
    """set of `<due key> <queue key>`: queues of any crawl that wait for this host to be freed.

    Written by `lease` (added) and by the report that frees the host (emptied).
    """
    return f"{PREFIX}host-queues:{name}"


def notices() -> str:
    """channel (publish and subscribe): names of hosts at which batches under way end with the request they are at.

    Published by `fetched` (a refusal), `complete` and `lease` (a delay that batches under way know nothing of).
    """
    return f"{PREFIX}notices"


def states() -> str:
    """channel (publish and subscribe): `<crawl> <state>` whenever a crawl begins to run, is paused or cancelled.

    Published by `create`, `reopen`, `release`, `retry`, `pause`, `resume`, `cancel`. Workers and pump services hear it.
    """
    return f"{PREFIX}states"


def pumps() -> str:
    """zset, name of a pump service -> expiry (Redis ms). Written by each service; stale members are ignored."""
    return f"{PREFIX}pumps"


def robots_prefix(view: str = "") -> str:
    """Prefix of `robots`, or of `robots_viewed` with a view, as an argument of scripts."""
    return f"{PREFIX}robots:{view}:" if view else f"{PREFIX}robots:"


def robots(origin: str) -> str:
    """hash: verdict (allow, deny, rules), body, sitemaps, version, fresh_until, asked_until, attempts and more.

    `ask_url` and `hops` stand in it while its redirects are followed. Shared by all crawls. `lease` marks it asked,
    `complete` stores the answer (`batches.RobotsAnswer`); it expires when that may not be used any more.
    """
    return f"{robots_prefix()}{origin}"


def robots_viewed(view: str, origin: str) -> str:
    """hash as `robots`, of crawls with `--resolve` or `--allow-address` (`CrawlOptions.view`).

    They may meet other servers under the same names, so only crawls with the same such options share it.
    """
    return f"{robots_prefix(view)}{origin}"


def crawl(name: str) -> str:
    """hash: state, options (JSON), id, schema, created_at, ended_at, active_ms, counted_at, seeds_open, seq, and more.

    `coming` (URLs) and `body_bytes` sum up its leases, `page_bytes` and `page_extra` are what a page brings of late as
    its body and beside it; `paused_by` says who paused it, `trimmed_to` where its trimmed records are.
    Written by nearly every verb; `docs/keys.md` lists them. Kept until the crawl is deleted.
    """
    return f"{PREFIX}crawl:{name}"


def part(name: str, part_name: str) -> str:
    """Return a key that belongs to one crawl; the functions below name the parts."""
    return f"{PREFIX}crawl:{name}:{part_name}"


def seen_prefix(name: str) -> str:
    """Prefix of `seen`, as an argument of scripts."""
    return part(name, "seen:")


def seen(name: str, bucket: int) -> str:
    """set of signed 64-bit fingerprints (stays an intset up to 512 members). Written by `add` and `complete`."""
    return f"{seen_prefix(name)}{bucket}"


def queues(name: str) -> str:
    """set of the crawl's queue keys that are not empty. Written by every script that moves a URL."""
    return part(name, "queues")


def queue_prefix(name: str) -> str:
    """Prefix of `queue`, as an argument of scripts."""
    return part(name, "queue:")


def queue(name: str, level: int, origin: str) -> str:
    """list of waiting requests (`records.encode_entry`) of one origin at one level, oldest first."""
    return f"{queue_prefix(name)}{level}:{origin}"


def due_prefix(name: str) -> str:
    """Prefix of `due`, as an argument of scripts."""
    return part(name, "due:")


def due(name: str, level: int) -> str:
    """zset, queue key -> when its host may be asked next (ms). Written by every script that moves a URL."""
    return f"{due_prefix(name)}{level}"


def levels(name: str) -> str:
    """hash, level -> URLs that wait or are leased. Written with the sets it mirrors."""
    return part(name, "levels")


def delayed(name: str) -> str:
    """zset, `<queue key> <entry>` -> not before (ms): transient failures that wait. Emptied by `lease`."""
    return part(name, "delayed")


def suspects(name: str) -> str:
    """list of `<queue key> <entry>`: URLs with a loss, leased alone and one at a time. Written by `reap`."""
    return part(name, "suspects")


def leases(name: str) -> str:
    """zset, lease key -> expiry (ms). Written by `lease`, `start`, `renew`, `fetched`, `complete`, `reap`."""
    return part(name, "leases")


def lease_prefix(name: str) -> str:
    """Prefix of `lease`, as an argument of scripts."""
    return part(name, "lease:")


def lease(name: str, lease_id: str) -> str:
    """hash: state, nonce, entries, kind, origin, host, queue, due, refs and more. Lives from `lease` to `complete`."""
    return f"{lease_prefix(name)}{lease_id}"


def bodies(name: str, lease_id: str) -> str:
    """hash, position -> body bytes of one batch. Written with `fetched`; deleted by `complete`, else by TTL."""
    return part(name, f"bodies:{lease_id}")


def bodies_prefix(name: str) -> str:
    """Prefix of `bodies`, as an argument of scripts."""
    return part(name, "bodies:")


def cookies(name: str, domain: str) -> str:
    """hash, `domain path name` -> cookie (JSON array), of one registrable domain; only with `--cookies`.

    Written by workers at the end of a batch; expires a week after the last change.
    """
    return part(name, f"cookies:{domain}")


def records(name: str) -> str:
    """hash, fingerprint -> newest page record (JSON). Written by `complete`; kept until trimmed or deleted."""
    return part(name, "records")


def retried(name: str) -> str:
    """hash, fingerprint -> generation of URLs that have a record and are to get a newer one.

    Written by `retry`; `complete` takes a URL out with its newer record.
    """
    return part(name, "retried")


def tombstones_prefix(name: str) -> str:
    """Prefix of `tombstones`, as an argument of scripts."""
    return part(name, "tombstones:")


def tombstones(name: str, bucket: int) -> str:
    """hash, fingerprint -> what is left of a trimmed record, 25 bytes (`crawl/tombstones.py`). Written by `trim`.

    As many buckets as the seen set has; each stays a listpack up to 512 members.
    """
    return f"{tombstones_prefix(name)}{bucket}"


def results(name: str) -> str:
    """stream of fingerprints (field `f`) in order of completion; export reads it. Written by `complete` and `trim`.

    A URL that was tried again has an entry more, with its generation (field `g`).
    """
    return part(name, "results")


def attempts(name: str) -> str:
    """stream, one entry per batch with every request it made (field `a`, JSON). Written by `fetched`."""
    return part(name, "attempts")


def counts(name: str) -> str:
    """hash: admitted, records by `outcome` and `outcome reason`, links not admitted by reason. Only scripts write."""
    return part(name, "counts")


def hosts(name: str) -> str:
    """set of host names the crawl admitted a URL of, or followed a robots.txt to; `forget` frees them.

    Written by `add`, `complete` and `lease`.
    """
    return part(name, "hosts")


def scope_seeds(name: str) -> str:
    """zset, URL -> its place: what widens the scope like the seeds in the options. Written by `add` and `complete`.

    Hosts or directories of seeds that the options do not name, and of what seeds redirected to. Only ever appended: a
    worker reads what it does not know yet.
    """
    return part(name, "scope-seeds")


def heirs(name: str) -> str:
    """set of fingerprints: what counts as a seed and was known before. Written by `complete`, `add` and `release`.

    Where seeds redirect to, and seeds that came while the crawl ran. Looked at before the crawl ends
    (`producer/again.py`), which empties it. Some come back out of `failed_heirs` by `retry`.
    """
    return part(name, "heirs")


def failed_heirs(name: str) -> str:
    """set of fingerprints: heirs that a second look has met without a page, failed or skipped.

    Written by `looked`; no look is due for them. `retry` puts what it admits again back into `heirs`.
    """
    return part(name, "heirs-failed")


def nearer(name: str) -> str:
    """zset, fingerprint -> depth: URLs that may lie nearer to the seeds than they were found. At most 100,000.

    Written by `add` and `complete` with a finite depth, where a redirect or a sitemap leads to what was seen before;
    emptied by `levelled`.
    """
    return part(name, "nearer")


def patterns(name: str) -> str:
    """hash, pattern -> URLs admitted, `budget <pattern>` -> its budget where `release` raised it. At most 100,000.

    Written by `add` and `complete`, unless the crawl ignores traps; see `crawl/traps.py`.
    """
    return part(name, "patterns")


def host_pages(name: str) -> str:
    """hash, host -> URLs admitted, `budget <host>` -> its budget where `release` raised it.

    Written by `add` and `complete` of a crawl with `--max-pages-per-host` only.
    """
    return part(name, "host-pages")


def parked(name: str) -> str:
    """hash, fingerprint -> `<pattern or host> <entry>`: URLs over a budget. At most 100,000; `release` admits them.

    Written by `add` and `complete`.
    """
    return part(name, "parked")


def wake(name: str) -> str:
    """list of two elements at most: hints that the pump should look again, or `reap`. Written by scripts."""
    return part(name, "wake")


def pump(name: str) -> str:
    """string, the owner's token, expiring: at most one pump serves a crawl."""
    return part(name, "pump")


def submitter(name: str) -> str:
    """string, a token, expiring: somebody is submitting the crawl's seeds, so no pump service takes it meanwhile."""
    return part(name, "submitter")
