"""Commands that are printed to be pasted: how poolcrawl is called where this process runs, and the same crawl again."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from pathlib import Path

from crawl.records import CrawlOptions


def in_compose() -> bool:
    """Whether this process runs in a container of the compose file."""
    return bool(os.environ.get("POOLCRAWL_IN_COMPOSE"))


def command() -> str:
    """Return how the person calls poolcrawl where this process runs, so that what we print can be pasted."""
    if in_compose():
        return "docker compose run --rm -T producer"
    called = Path(sys.argv[0])
    found = shutil.which("poolcrawl")
    if called.name != "poolcrawl" or (found and Path(found).samefile(called)):
        return "poolcrawl"
    with contextlib.suppress(ValueError):
        return str(called.absolute().relative_to(Path.cwd()))
    return str(called)


def same_crawl(options: CrawlOptions, *, unnamed: bool) -> str:
    """Return the arguments that make the same crawl again; a seeds file or standard input is named, not repeated."""
    told: list[str] = ["crawl"]
    told += options.seeds if len(options.seeds) <= 3 else []
    told += ["--seeds", "FILE"] if unnamed or len(options.seeds) > 3 else []
    plain = CrawlOptions()
    for name, option in (
        ("depth", "--depth"),
        ("max_pages", "--max-pages"),
        ("max_pages_per_host", "--max-pages-per-host"),
        ("scope", "--scope"),
        ("adaptive_delay", "--adaptive-delay"),
        ("traps", "--traps"),
        ("recrawl", "--recrawl"),
        ("extractor", "--extractor"),
        ("delay_s", "--delay"),
        ("robots", "--robots"),
    ):
        value = getattr(options, name)
        if value != getattr(plain, name):
            told += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    for flag, option in (
        (options.cookies, "--cookies"),
        (options.sitemaps, "--sitemaps"),
        (options.main_text, "--text"),
    ):
        told += [option] if flag else []
    # Neither secrets nor whole files are repeated.
    for value, option in ((options.credentials, "--credentials"), (options.extract, "--extract")):
        told += [option, "FILE"] if value else []
    for values, option in (
        (options.include, "--include"),
        (options.exclude, "--exclude"),
        (options.drop_query, "--drop-query"),
        (tuple(f"{name}: {value}" for name, value in options.headers), "--header"),
        (options.allow_addresses or (), "--allow-address"),
        (options.resolve, "--resolve"),
    ):
        for value in values:
            told += [option, value]
    return shlex.join(told)
