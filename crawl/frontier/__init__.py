"""The frontier: what waits, what is leased, what was seen, and when each host may be asked next.

Every change is one Lua verb (`crawl/lua/`), so it happens wholly or not at all. The frontier is the truth; messages in
the broker are hints. Times are Redis milliseconds. A call that is repeated after a lost reply does no harm: each verb's
header says what it then returns.

`states` is the crawl as a whole, `admission` how URLs come in, `leases` and `outcomes` the lease cycle, `looks` what is
judged once more before the end, `origins` robots.txt and sitemaps. All of them call Redis by what `verbs` gives them.
"""

from __future__ import annotations

from crawl.frontier.admission import RETRIED_PER_CALL, Admission
from crawl.frontier.leases import (
    BATCH_BUDGET_S,
    FIRST_EXTRA_BYTES,
    HOST_FAIL_LIMIT,
    HOST_REFUSAL_LIMIT,
    PARSE_NEVER_S,
    Leases,
    renew,
)
from crawl.frontier.looks import Looks
from crawl.frontier.origins import Origins
from crawl.frontier.outcomes import Outcomes
from crawl.frontier.states import States, check_schema, options_of

__all__ = [
    "BATCH_BUDGET_S",
    "FIRST_EXTRA_BYTES",
    "HOST_FAIL_LIMIT",
    "HOST_REFUSAL_LIMIT",
    "PARSE_NEVER_S",
    "RETRIED_PER_CALL",
    "Frontier",
    "check_schema",
    "options_of",
    "renew",
]


class Frontier(States, Admission, Leases, Outcomes, Looks, Origins):
    """One crawl's frontier on one Redis."""
