"""A crawl as a whole: made, opened again, paused, ended, cancelled, cleared and counted."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import msgspec

from crawl import keys, names, records
from crawl.errors import DamagedCrawlError, UsageError
from crawl.frontier.verbs import Verbs
from crawl.scope import scope_entry

if TYPE_CHECKING:
    from crawl.records import CrawlOptions

#: Hosts that forget a crawl, and queues or leases of a cancelled one that are taken away, per call.
HOSTS_PER_CALL = 200
CLEARED_PER_CALL = 200


class States(Verbs):
    """The verbs that change what state a crawl is in, and those that say which one it is."""

    def create(self, options: CrawlOptions, *, unnamed: bool = False) -> tuple[bool, CrawlOptions, str]:
        """Make the crawl unless it exists; return whether it was made, the stored options and its state.

        `unnamed` notes that there will be seeds that the options do not name.
        Raises UsageError when another release made it with a layout this one does not know.
        """
        made, stored, state, schema = self._run(
            "create",
            options=records.to_json(options).decode(),
            id=secrets.token_hex(6),
            schema=records.SCHEMA,
            index=keys.crawls(),
            per_host=options.max_pages_per_host,
            unnamed=unnamed,
            channel=keys.states(),
        )
        check_schema(self.crawl, schema)
        return bool(made), options_of(self.crawl, stored), state.decode()

    def options(self) -> tuple[CrawlOptions, str, str, str] | None:
        """Return the crawl's options, id, revision and state, or None when there is no such crawl."""
        stored = self.client.hmget(keys.crawl(self.crawl), "options", "id", "rev", "state", "schema")
        if stored[0] is None:
            return None
        check_schema(self.crawl, stored[4])
        options = options_of(self.crawl, stored[0])
        try:
            return options, stored[1].decode(), stored[2].decode(), stored[3].decode()
        except (AttributeError, UnicodeDecodeError) as error:
            raise DamagedCrawlError.of(self.crawl, "its id, revision or state", error) from None

    def reopen(self, options: CrawlOptions | None, *, unnamed: bool = False) -> None:
        """Take further seeds: store the options that name them, if any do, and open the seed source.

        `unnamed` notes that there are seeds (of a file or a stream) that no options name. Raises StoppedError when the
        crawl was cancelled.
        """
        if options is not None:
            self._widen(options)
        arguments: dict[str, Any] = {"unnamed": unnamed, "channel": keys.states()}
        if options is not None:
            arguments["options"] = records.to_json(options).decode()
        self._admits(self._run("reopen", **arguments)[0])

    def _widen(self, options: CrawlOptions) -> None:
        """Let seeds that the stored options do not name widen the scope as those of a file do: pages may be parsed."""
        stored = self.options()
        if stored is None:
            return
        older = {scope_entry(options.scope, seed) for seed in stored[0].seeds}
        entries = dict.fromkeys(scope_entry(options.scope, seed) for seed in options.seeds)
        new = [entry for entry in entries if entry is not None and entry not in older]
        heirs = set(options.seeds) - set(stored[0].seeds)
        self._run("add", scope_seeds=new, **self._heirs(heirs, options))

    def has_unnamed_seeds(self) -> bool:
        """Whether the crawl has seeds that its options do not name."""
        return bool(self.client.hexists(keys.crawl(self.crawl), "unnamed_seeds"))

    def finish(self) -> str:
        """End the crawl if nothing is left; return its state. Its hosts forget what it asked of them."""
        state = str(self._run("finish")[0].decode())
        if state == names.FINISHED:
            self.forget()
        return state

    def forget(self) -> None:
        """Have the crawl's hosts forget what it asked of them, a few hundred at a time; safe to repeat."""
        hosts = [host.decode() for host in self.client.sscan_iter(keys.hosts(self.crawl), count=1000)]
        for first in range(0, len(hosts), HOSTS_PER_CALL):
            self._run("forget", hosts=hosts[first : first + HOSTS_PER_CALL])

    def pause(self, by: str) -> str:
        """Hand out nothing more until `resume`; return the state before. Only a running crawl is changed."""
        return str(self._run("pause", by=by, channel=keys.states())[0].decode())

    def resume(self) -> str:
        """Let a paused crawl go on; return the state before."""
        return str(self._run("resume", channel=keys.states())[0].decode())

    def cancel(self) -> str:
        """End a running or paused crawl for good; return the state before. `clear` takes away what it holds."""
        return str(self._run("cancel", channel=keys.states())[0].decode())

    def delete(self) -> str:
        """Mark a finished or cancelled crawl as being deleted; return the state before."""
        return str(self._run("delete")[0].decode())

    def clear(self, options: CrawlOptions, *, force: bool) -> int:
        """Take away what a cancelled crawl holds, in slices; return how many leases with a request under way are left.

        With `force` those are closed as well. Safe to repeat.
        """
        self._see(options)
        under_way, more = 0, 1
        while more:
            more, left = self._run("clear", limit=CLEARED_PER_CALL, skip=under_way, force=force)
            under_way += left
        return under_way

    def status(self) -> tuple[dict[str, str], dict[str, str], int, int, int, int, int, int, int, int]:
        """Return the crawl hash, its counts, records, leased URLs, leases, delayed, suspects, queues, now, retried.

        The last are URLs that have a record and wait for a newer one.
        """
        about, counts, *numbers = self._run("status", retried=keys.retried(self.crawl))
        return (_texts(about), _texts(counts), *numbers)


def check_schema(crawl: str, schema: bytes | str | int | None) -> None:
    """Raise UsageError when a crawl was made by a release with another layout."""
    layout = records.number_of(crawl, "its schema", schema)
    if layout != records.SCHEMA:
        message = (
            f"crawl '{crawl}' was made by another release of poolcrawl (layout {layout}, this one has "
            f"{records.SCHEMA}); use that release, or choose another --name"
        )
        raise UsageError(message)


def options_of(crawl: str, text: bytes | str) -> CrawlOptions:
    """Return a crawl's options as Redis keeps them. Raises DamagedCrawlError when they cannot be read."""
    try:
        return records.options_from_json(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise DamagedCrawlError.of(crawl, "its options", error) from None


def _texts(flat: list[bytes]) -> dict[str, str]:
    # What is no UTF-8 is judged by whoever reads the field.
    texts = [part.decode(errors="surrogateescape") for part in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))
