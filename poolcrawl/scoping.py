"""What a crawl's scope can come to, judged before anything is started: an error where it is nothing, else warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawl import urls
from crawl.errors import UsageError
from crawl.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crawl.records import CrawlOptions


def check_seeds(options: CrawlOptions, seeds: Sequence[str], *, more: bool = False) -> list[str]:
    """Return a warning if some seeds cannot be fetched.

    Raises UsageError when none can, and the crawl has no other source; `more` says that there are seeds in a file.
    """
    scope = Scope(options)
    refused = [seed for seed in seeds if scope.pattern_refusal(seed)]
    if not refused:
        return []
    first = f"{refused[0]}: {scope.explain_seed(refused[0]).why}"
    if len(refused) < len(seeds) or more or options.sitemaps or options.recrawl:
        count = "the seed" if len(seeds) == 1 else f"{len(refused)} of {len(seeds)} seeds"
        return [f"{count} will not be fetched; {first}"]
    message = (
        f"no seed would be fetched ({first}); patterns count for seeds, too: "
        "give a further --include that matches the seed, or start from another URL"
    )
    raise UsageError(message)


def warnings(options: CrawlOptions, *, more: bool = False) -> list[str]:
    """Return what a person may not have meant, one line each. Raises UsageError when no seed can be fetched.

    `more` says that there are further seeds in a file.
    """
    seeds = options.seeds
    found = check_seeds(options, seeds, more=more)
    if options.max_pages is not None and options.max_pages < len(seeds):
        found.append(
            f"--max-pages {options.max_pages} keeps {len(seeds) - options.max_pages} of {len(seeds)} seeds out"
        )
    if options.depth == 0 and options.scope != "host":
        found.append(f"no link is followed with --depth 0: --scope {options.scope} counts for redirects only")
    elif options.scope == "any" and options.depth is None and options.max_pages is None:
        found.append(
            "--scope any without --depth or --max-pages follows links wherever they lead; "
            "the crawl has no end of its own"
        )
    if options.scope == "prefix":
        found += [_wide(seed) for seed in seeds if _looks_like_a_directory(seed)][:1]
    return found


def _looks_like_a_directory(seed: str) -> bool:
    path = seed.partition("?")[0]
    name = path.rsplit("/", 1)[1]
    return bool(name) and "." not in name


def _wide(seed: str) -> str:
    path = seed.partition("?")[0]
    return f"--scope prefix: everything below {urls.base_of(seed)} belongs to it; did you mean {path}/?"
