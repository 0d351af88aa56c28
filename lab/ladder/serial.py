"""One page after the other, in one thread: what every other rung is measured against.

Blocks: the only thread, once for each page, for as long as the server takes. In parallel: nothing, while the server
thinks the processor idles, and while a page is parsed nobody asks the server. Callback: none.
"""

from __future__ import annotations

from lab.ladder.fresh import main
from lab.ladder.pages import Parsed, fetch, parse


def run(pages: list[str], slots: int) -> list[Parsed]:  # noqa: ARG001  every rung is called alike
    """Fetch and parse; `slots` is ignored, there is only one."""
    return [parse(fetch(page)) for page in pages]


if __name__ == "__main__":
    main(run)
