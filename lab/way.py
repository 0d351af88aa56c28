"""How a workload is crawled in a trial: pool, slots, worker processes, and where pages are parsed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Way:
    """One way to crawl. `concurrency` is the slots of each of `processes` worker processes.

    With `parse_pool`, fetch and parse are split: `parse_processes` worker processes of that pool and of
    `parse_concurrency` slots each serve the parse queue, and the others serve only fetch.
    """

    pool: str
    concurrency: int
    processes: int = 1
    pipeline: str = "callback"
    batch: int = 20
    events: bool = False
    parse_pool: str | None = None
    parse_concurrency: int = 0
    parse_processes: int = 1

    @property
    def slots(self) -> int:
        """How many requests can be under way at once."""
        return self.concurrency * self.processes

    @property
    def name(self) -> str:
        """How tables and JSON call it, such as `gevent-100`, `threads-32x2`, `gevent-100+prefork-2/fused/b1/events`."""
        parts = [_group(self.pool, self.concurrency, self.processes)]
        if self.parse_pool:
            parts.append(_group(self.parse_pool, self.parse_concurrency, self.parse_processes))
        name = "+".join(parts)
        if self.pipeline != "callback":
            name += f"/{self.pipeline}"
        if self.batch != 20:
            name += f"/b{self.batch}"
        return name + ("/events" if self.events else "")

    def row(self) -> dict[str, Any]:
        """Return the way for JSON, with what is derived."""
        return {**asdict(self), "way": self.name, "slots": self.slots}


def _group(pool: str, concurrency: int, processes: int) -> str:
    return f"{pool}-{concurrency}" + (f"x{processes}" if processes > 1 else "")
