"""Seeds: from the command line, a file or a stream, judged before Redis is asked, and admitted in slices."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from crawl import keys, names, urls
from crawl.errors import UsageError
from crawl.links import Links
from crawl.records import FetchRequest
from crawl.scope import scope_entry
from producer.lines import LONGEST, lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from crawl.frontier import Frontier
    from crawl.records import CrawlOptions

#: Seeds admitted per call of the frontier.
SLICE = 1000
#: Most seeds that the crawl's options name; every worker reads those. The others are in the frontier alone.
MOST_NAMED = 1000
#: Bad lines that are told one by one; the rest is counted.
MOST_COMPLAINTS = 100

_READ_BYTES = 65_536
#: The descriptor and not `sys.stdin`: a thread that waits in its lock would spoil the interpreter's end.
_STDIN = 0
#: A fragment's `#` has no white space before it.
_COMMENT = re.compile(r"(?:^|\s)#.*", re.DOTALL)


def from_arguments(texts: Iterable[str]) -> list[str]:
    """Return the canonical URLs of what was typed. Raises UsageError for the first that is none."""
    found: dict[str, None] = {}
    for text in texts:
        seed = urls.judge_seed(text)
        if seed.url is None:
            raise UsageError(seed.error)
        found[seed.url] = None
    return list(found)


class Judged(NamedTuple):
    """One line of a seeds file that is no comment: its canonical URL, or what is wrong with it."""

    number: int
    url: str | None
    error: str


def judged(chunks: Iterable[bytes]) -> Iterator[Judged]:
    """Yield the verdict on every line that says something. Raises ValueError where packed data are broken."""
    for number, text, cut in lines(chunks):
        said = _COMMENT.sub("", text).strip()
        if cut:
            yield Judged(number, None, f"the line is longer than {LONGEST} characters")
        elif "\0" in said:
            yield Judged(number, None, "the line holds zero bytes, it is no text")
        elif "\ufffd" in said:
            yield Judged(number, None, f"'{_shown(said)}' holds bytes that are no UTF-8; save it as UTF-8")
        elif said:
            seed = urls.judge_seed(said)
            yield Judged(number, seed.url, _shown(seed.error or ""))


def _shown(text: str) -> str:
    """Return what may go to a terminal; a file of any bytes must not write into its state."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:300])


class Complaints:
    """Tells bad lines with their number, the first ones singly."""

    def __init__(self, shown: str, say: Callable[[str], None]) -> None:
        self._shown = shown
        self._say = say
        self.count = 0

    def tell(self, number: int, error: str) -> None:
        """Tell one bad line, unless there were too many."""
        self.count += 1
        if self.count <= MOST_COMPLAINTS:
            self._say(f"{self._shown}:{number}: {error}")

    def end(self) -> None:
        """Tell how many were not told."""
        if self.count > MOST_COMPLAINTS:
            self._say(f"{self._shown}: {self.count - MOST_COMPLAINTS} further bad lines")


class SeedsFile:
    """A file of seeds (`-`: standard input): one URL per line, `#` at its beginning or after white space is a comment.

    A pipe or a terminal is `streaming`: what it gives is read while the crawl runs, and only once.
    """

    def __init__(self, name: str) -> None:
        """Raises UsageError when there is no such file."""
        self.name = name
        self.shown = "standard input" if name == "-" else name
        try:
            found = os.fstat(_STDIN) if name == "-" else Path(name).stat()
            self.streaming = not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode))
            #: Where a file on standard input is to be read from, however often.
            self._start = os.lseek(_STDIN, 0, os.SEEK_CUR) if name == "-" and not self.streaming else 0
        except (OSError, ValueError) as error:
            raise self.unreadable(error) from None

    def unreadable(self, error: Exception) -> UsageError:
        """Return the error for a file that cannot be read."""
        why = getattr(error, "strerror", None) or error
        message = f"--seeds {self.shown} cannot be read: {why}; name a text file with one URL per line"
        return UsageError(message)

    def chunks(self) -> Iterator[bytes]:
        """Yield the file's bytes as they come in, a file's from its beginning. Raises UsageError."""
        try:
            descriptor = os.dup(_STDIN) if self.name == "-" else os.open(self.name, os.O_RDONLY)
        except OSError as error:
            raise self.unreadable(error) from None
        try:
            if not self.streaming and self.name == "-":
                os.lseek(descriptor, self._start, os.SEEK_SET)
            while chunk := os.read(descriptor, _READ_BYTES):
                yield chunk
        except OSError as error:
            raise self.unreadable(error) from None
        finally:
            os.close(descriptor)

    def check(self) -> None:
        """Raise UsageError unless the file is a text with one usable line; reads no further than that."""
        verdicts = Verdicts(self)
        first = next(iter(verdicts), None)
        if first is None:
            raise verdicts.useless()


class Verdicts:
    """The usable URLs of a seeds file in their order; bad lines are told on the way, or only the first is kept."""

    def __init__(self, source: SeedsFile, tell: Callable[[int, str], None] = lambda _, __: None) -> None:
        self._source = source
        self._tell = tell
        self._first = ""
        self._blank = True
        self._binary = False

    def __iter__(self) -> Iterator[str]:
        """Yield every usable URL. Raises UsageError when the file cannot be read."""
        number = 0
        try:
            for number, url, error in judged(self._watched()):
                if self._binary:
                    return
                if url is not None:
                    yield url
                    continue
                self._first = self._first or f"{self._source.shown}:{number}: {error}"
                self._tell(number, error)
        except ValueError as error:
            self._first = self._first or f"it {error}"
            self._tell(number + 1, f"the rest is not read, because the file {error}")

    def _watched(self) -> Iterator[bytes]:
        begun = False
        for chunk in self._source.chunks():
            self._blank = self._blank and not chunk.strip()
            if not begun:
                begun = True
                marked = chunk.startswith((b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b"))
                self._binary = b"\0" in chunk and not marked
                if self._binary:
                    return
            yield chunk

    def useless(self) -> UsageError:
        """Return the error for a file that gave no URL."""
        if self._blank:
            message = f"--seeds {self._source.shown} is empty; write one URL per line"
        elif self._binary:
            message = f"--seeds {self._source.shown} is no text file; write one URL per line"
        else:
            first = f" ({self._first})" if self._first else ""
            message = f"--seeds {self._source.shown} has no usable line{first}; write one URL per line"
        return UsageError(message)


class Intake:
    """Admits seeds in slices: new ones wait under their host, and their hosts widen the scope."""

    def __init__(self, frontier: Frontier, options: CrawlOptions) -> None:
        self._frontier = frontier
        self._options = options
        #: What widens the scope without any entry.
        self._named = {scope_entry(options.scope, seed) for seed in options.seeds}

    def _links(self, seeds: Iterable[str]) -> Links:
        seconds, micros = self._frontier.client.time()
        now_ms = seconds * 1000 + micros // 1000
        links = Links(finite=self._options.depth is not None, buckets=self._options.seen_buckets)
        for seed in seeds:
            url = self._plain(seed)
            fingerprint = links.offer(url)
            if fingerprint is not None:
                links.put(fingerprint, FetchRequest(url=url, via=names.SEED, queued_ms=now_ms))
        return links

    def _plain(self, seed: str) -> str:
        return urls.drop_query(seed, self._options.drop_query) if self._options.drop_query else seed

    def admit_named(self) -> None:
        """Admit the seeds that the options name; they widen the scope by that. Safe to repeat."""
        for part in slices(self._options.seeds):
            self._frontier.add(self._links(part), max_pages=self._options.max_pages)

    def admit(self, seeds: list[str], *, late: bool = False) -> bool:
        """Admit one slice of other seeds; return whether the crawl has room for more. Safe to repeat.

        `late` says that the crawl runs, so that links may have led to them before.
        """
        kind = self._options.scope
        entries = dict.fromkeys(scope_entry(kind, seed) for seed in seeds)
        for named in self._named:
            entries.pop(named, None)
        _, capped = self._frontier.add(
            self._links(seeds),
            max_pages=self._options.max_pages,
            scope_seeds=[entry for entry in entries if entry is not None],
            late=self._options if late else None,
            heirs=[self._plain(seed) for seed in seeds] if late else (),
        )
        return not capped or not self.full()

    def full(self) -> bool:
        """Whether the crawl has admitted as many URLs as it may."""
        if self._options.max_pages is None:
            return False
        admitted = self._frontier.client.hget(keys.counts(self._frontier.crawl), "admitted")
        return int(admitted or 0) >= self._options.max_pages

    def admit_all(self, seeds: Iterable[str], watch: Callable[[], None] = lambda: None) -> bool:
        """Admit any number of seeds; return False when the crawl is full before their end."""
        for part in slices(seeds):
            if not self.admit(part):
                return False
            watch()
        return True

    def unseen(self, seeds: Iterable[str]) -> bool:
        """Whether any of these was not admitted before."""
        buckets = self._options.seen_buckets
        for part in slices(seeds):
            with self._frontier.client.pipeline(transaction=False) as pipe:
                for seed in part:
                    fingerprint = urls.fingerprint(self._plain(seed))
                    pipe.sismember(keys.seen(self._frontier.crawl, fingerprint % buckets), str(fingerprint))
                if not all(pipe.execute()):
                    return True
        return False

    def close(self) -> None:
        """Say that no further seeds come."""
        self._frontier.add(self._links(()), max_pages=None, close_seeds=True)


def slices(seeds: Iterable[str]) -> Iterator[list[str]]:
    """Yield seeds by the thousand."""
    part: list[str] = []
    for seed in seeds:
        part.append(seed)
        if len(part) >= SLICE:
            yield part
            part = []
    if part:
        yield part
