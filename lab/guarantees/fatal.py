"""Pages that end or stop whatever parses them, beside ordinary ones that must not pay for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawl.errors import PoolcrawlError
from lab.guarantees import verdicts
from lab.guarantees.finding import Finding

if TYPE_CHECKING:
    from lab.guarantees.stage import Stage

#: Workers that may end on a URL before it is given up, and the lease after which that is noticed, seconds.
MAX_LOSSES = 2
LEASE_S = 2.0
#: The setting that limits one parse, and its seconds in the check.
LIMIT = "CRAWL_PARSE_TIMEOUT_S"
LIMIT_S = 1.0
#: Seconds the crawl gets.
PATIENCE_S = 60.0


def crash(stage: Stage, digest: str) -> list[Finding]:
    """Crawl a page that makes native code crash the process that parses it."""
    return [_crawl(stage, verdicts.CRASH, "/crash", digest)]


def hold(stage: Stage, digest: str) -> list[Finding]:
    """Crawl a page whose parse keeps the interpreter for itself for ever."""
    stage.restart(**{LIMIT: str(LIMIT_S)})
    return [_crawl(stage, verdicts.HOLD, "/hold", digest)]


def _crawl(stage: Stage, guarantee: str, path: str, digest: str) -> Finding:
    variables = {"CRAWL_MAX_LOSSES": str(MAX_LOSSES), "CRAWL_LEASE_S": str(LEASE_S)}
    url = stage.site.fatal(path)
    try:
        crawled = stage.crawl(guarantee, [stage.site.seed, url], variables, patience_s=PATIENCE_S)
    except PoolcrawlError as error:
        return Finding(stage.pool, guarantee, False, f"the stack gave up: {error}")
    records = {record.url: record for record in stage.records(guarantee)}
    record = (records[url].outcome, records[url].reason) if url in records else None
    digests = (digest, stage.digest_without(guarantee, url))
    return verdicts.of_fatal(stage.pool, guarantee, record, MAX_LOSSES, crawled, digests)
