"""Trimming: what is safely in a file leaves Redis, a tombstone stays, and nothing is lost whatever is killed."""

from __future__ import annotations

import json

import msgspec
import pytest
import standin

from crawl import audit as auditing
from crawl import keys, results, tombstones, trimming, urls
from crawl.errors import UsageError
from crawl.records import record_from_json, to_json
from export import files, trimmed
from poolcrawl import comparing, explaining, recrawling, summary


@pytest.fixture
def crawled(frontier, host):
    """A function that crawls so many further pages of the host; five are there."""
    options = standin.options(batch=1)
    numbers = iter(range(10_000))

    def crawl(count):
        standin.admit(frontier, options, *(f"http://{host}/{next(numbers)}" for _ in range(count)))
        while batches := standin.lease(frontier, options):
            for batch in batches:
                standin.visit(frontier, batch, options)

    crawl(5)
    return crawl


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pages.jsonl"


def _audit(frontier, file=None):
    return auditing.audit(frontier.client, frontier.crawl, file)


def _trim(frontier, path):
    return trimmed.to_file(frontier.client, frontier.crawl, str(path))


def _left(frontier):
    """Return how many records, stream entries and tombstones there are in Redis."""
    client, crawl = frontier.client, frontier.crawl
    stones = sum(1 for _ in tombstones.of_crawl(client, crawl, 16))
    return client.hlen(keys.records(crawl)), client.xlen(keys.results(crawl)), stones


def test_what_is_in_the_file_leaves_redis(frontier, crawled, path):
    """Records and stream go, tombstones stay, and a later run adds what is new."""
    before = _audit(frontier)
    found = _trim(frontier, path)

    assert (found.records, found.trimmed, found.kept) == (5, 5, 0)
    assert _left(frontier) == (0, 0, 5)
    crawled(3)
    assert _left(frontier) == (3, 3, 5)
    assert _trim(frontier, path) == trimmed.Trimmed(records=8, trimmed=3, kept=0)
    assert len({json.loads(line)["url"] for line in path.read_bytes().splitlines()}) == 8
    assert before.digest is not None
    assert results.status(frontier.client, frontier.crawl).done == 8


def test_the_audit_counts_a_trimmed_record_and_says_that_it_has_no_digest(frontier, crawled, path):
    """Records, missing and duplicate as before; the digest needs the file."""
    before = _audit(frontier)
    _trim(frontier, path)
    after = _audit(frontier)

    assert after.clean
    assert (before.records, after.records, after.trimmed) == (5, 5, 5)
    assert after.digest is None


def test_with_its_file_the_audit_has_the_digest_of_before(frontier, crawled, path):
    """Half of the crawl in the file, half in Redis: one digest, that of all records."""
    _trim(frontier, path)
    crawled(3)
    with path.open("rb") as file:
        both = _audit(frontier, file)
    with path.open("ab") as stream:
        files.to_stream(frontier.client, frontier.crawl, "jsonl", stream)
    whole = auditing.digest(path.read_bytes().splitlines())

    assert both.clean
    assert (both.records, both.trimmed, both.absent) == (8, 5, 0)
    assert both.digest == whole


@pytest.mark.parametrize("harm", ["removed", "altered", "broken"])
def test_the_audit_finds_what_is_wrong_with_the_file(frontier, crawled, path, harm):
    """A tombstone vouches for its record's outcome, status, content and links."""
    _trim(frontier, path)
    first, *others = path.read_bytes().splitlines(keepends=True)
    record = record_from_json(first)
    record.status = 418
    put = {"removed": b"", "altered": to_json(record) + b"\n", "broken": first[:-9] + b"\n"}[harm]
    path.write_bytes(put + b"".join(others))
    with path.open("rb") as file:
        found = _audit(frontier, file)

    assert (found.clean, found.absent, found.digest) == (False, 1, None)


def test_planted_faults_are_still_found_in_a_trimmed_crawl(frontier, crawled, path):
    """A record that was removed before is missing, one that is twice in the stream is double."""
    client, crawl = frontier.client, frontier.crawl
    fingerprints = [fingerprint for _, fingerprint in results.entries(client, crawl)]
    client.hdel(keys.records(crawl), fingerprints[0])
    client.xadd(keys.results(crawl), {"f": fingerprints[1]})
    before = _audit(frontier)
    _trim(frontier, path)
    after = _audit(frontier)

    assert (before.missing, before.duplicate) == (1, 1)
    assert (after.missing, after.duplicate) == (1, 1)


class _KilledError(Exception):
    """Where the process ended."""


@pytest.mark.parametrize("moment", ["before any", "between two slices", "before the cursor"])
def test_a_kill_in_the_middle_loses_nothing(frontier, crawled, path, monkeypatch, moment):
    """Every record is in the file, in Redis, or in both; the next run ends what was begun, and each is there once."""
    crawled(45)
    whole = auditing.audit(frontier.client, frontier.crawl).digest
    monkeypatch.setattr(files, "CHUNK", 20)
    monkeypatch.setattr("crawl.trimming.ROWS_PER_CALL", 8)
    calls = []

    def dying(self, *args, **more):
        calls.append(1)
        if len(calls) == (1 if moment == "before any" else 4):
            raise _KilledError
        return kept(self, *args, **more)

    kept = type(frontier).trim
    if moment == "before the cursor":
        write = files.write_cursor

        def dying_write(*args):
            calls.append(1)
            if len(calls) == 2:
                raise _KilledError
            write(*args)

        monkeypatch.setattr(files, "write_cursor", dying_write)
    else:
        monkeypatch.setattr(type(frontier), "trim", dying)
    with pytest.raises(_KilledError):
        _trim(frontier, path)
    monkeypatch.undo()

    found = _trim(frontier, path)

    assert (found.records, found.kept) == (50, 0)
    assert _left(frontier) == (0, 0, 50)
    with path.open("rb") as file:
        assert _audit(frontier, file).digest == whole
    assert len(path.read_bytes().splitlines()) == 50


def test_a_file_of_an_export_without_trim_is_trimmed_behind_its_cursor(frontier, crawled, path):
    """What an earlier run wrote leaves Redis too, if it is in the file byte for byte."""
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))
    lines = path.read_bytes().splitlines(keepends=True)
    # Somebody has edited one line, without changing the size of the file.
    lines[2] = lines[2].replace(b'"ok"', b'"no"')
    path.write_bytes(b"".join(lines))

    found = _trim(frontier, path)

    assert (found.records, found.trimmed, found.kept) == (5, 4, 1)
    assert _left(frontier) == (1, 1, 4)


def test_a_record_that_was_replaced_meanwhile_is_kept(frontier, crawled, path):
    """Only what stands in the file may go: a newer record of the same URL does not."""
    client, crawl = frontier.client, frontier.crawl
    identifier, line = next(results.lines(client, crawl))
    files.to_file(client, crawl, "jsonl", str(path))
    record = record_from_json(line)
    client.hset(
        keys.records(crawl),
        str(urls.fingerprint(record.url)),
        to_json(msgspec.structs.replace(record, depth=9)),
    )

    found = _trim(frontier, path)

    assert (found.trimmed, found.kept) == (4, 1)
    assert next(results.lines(client, crawl))[0] == identifier
    # The script looks as well: the record may be replaced between the read and the call.
    assert trimming.trim(frontier, [(identifier, line)], buckets=16, to=str(path)) == 0
    assert next(results.lines(client, crawl))[0] == identifier


@pytest.mark.parametrize("harm", ["no cursor", "shortened", "another crawl"])
def test_a_file_with_trimmed_records_is_never_written_anew(frontier, new_frontier, crawled, path, harm):
    """It may be the only copy: whoever would begin it afresh is told to name another file, and it stays as it is."""
    _trim(frontier, path)
    crawl = frontier.crawl
    if harm == "no cursor":
        path.with_name("pages.jsonl.cursor").unlink()
    elif harm == "shortened":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        other = new_frontier()
        standin.admit(other, standin.options(), f"http://{other.crawl}.test/")
        crawl = other.crawl
    kept = path.read_bytes()

    for export in (
        lambda: trimmed.to_file(frontier.client, crawl, str(path)),
        lambda: files.to_file(frontier.client, crawl, "jsonl", str(path)),
    ):
        with pytest.raises(UsageError, match=r"holds records that were trimmed.*name another file"):
            export()
    assert path.read_bytes() == kept


def test_a_file_of_another_crawl_is_not_overwritten_when_its_cursor_is_gone(
    frontier, new_frontier, crawled, path
):
    """Redis knows which crawl's records are in it, and that is enough to leave it alone."""
    _trim(frontier, path)
    path.with_name("pages.jsonl.cursor").unlink()
    kept = path.read_bytes()
    other = new_frontier()
    standin.admit(other, standin.options(), f"http://{other.crawl}.test/")
    for export in (
        lambda: trimmed.to_file(other.client, other.crawl, str(path)),
        lambda: files.to_file(other.client, other.crawl, "jsonl", str(path)),
    ):
        with pytest.raises(UsageError, match=r"holds records that were trimmed.*name another file$"):
            export()

    assert path.read_bytes() == kept


def test_what_is_no_file_is_no_place_for_the_only_copy(frontier, crawled):
    """Nothing is trimmed into a device."""
    with pytest.raises(UsageError, match="--trim needs a file"):
        trimmed.to_file(frontier.client, frontier.crawl, "/dev/null")

    assert _left(frontier)[0] == 5


def test_a_full_redis_can_be_trimmed(own_server, path):
    """It is the remedy for a full one, so it must go through there."""
    import redis

    from crawl.frontier import Frontier

    with redis.Redis.from_url(own_server.url) as client:
        frontier, options = Frontier(client, "full"), standin.options()
        standin.admit(frontier, options, *standin.pages("full.test", 3))
        while batches := standin.lease(frontier, options):
            for batch in batches:
                standin.visit(frontier, batch, options)
        client.config_set("maxmemory", 1)

        assert _trim(frontier, path).trimmed == 3


def test_readers_say_that_records_were_trimmed(frontier, crawled, new_frontier, host, path):
    """`status` and `why` name the file, `changes` is refused, a recrawl says so, or is refused where seeds are gone."""
    client, crawl = frontier.client, frontier.crawl
    _trim(frontier, path)
    status = results.status(client, crawl)
    told = explaining.explain(client, crawl, f"http://{host}/1", f"http://{host}/1")

    assert (status.done, status.waiting, status.trimmed, status.trimmed_to) == (5, 0, 5, str(path))
    assert any(
        "5 of its records were trimmed" in line and str(path) in line for line in summary.lines(status)
    )
    assert (told.place, told.conclusion) == ("trimmed", f"its record was exported and trimmed: ok; in {path}")
    with pytest.raises(UsageError, match=r"cannot be compared.*trimmed.*compare the exported files"):
        list(comparing.changes(client, crawl, crawl))
    said: list[str] = []
    recrawling.look(client, crawl, None, {}, said.append)
    assert any("5 of its records were trimmed" in line and "asked for in full" in line for line in said)
    client.hset(keys.crawl(crawl), "unnamed_seeds", 1)
    with pytest.raises(UsageError, match="give those again with --seeds"):
        recrawling.look(client, crawl, None, {}, said.append)
    recrawling.look(client, crawl, None, {}, said.append, seeded=True)


def test_a_tombstone_takes_few_bytes(client, new_frontier):
    """Sixty in each of its buckets, as with a million URLs: less than 60 bytes each."""
    key = keys.tombstones(new_frontier().crawl, 0)
    stones = {
        str(urls.fingerprint(f"http://tomb.test/{number}")): tombstones.encode(
            "ok", bytes(range(32)), "ab" * 32
        )
        for number in range(60)
    }
    client.hset(key, mapping=stones)

    assert client.object("encoding", key) == b"listpack"
    assert client.memory_usage(key, samples=0) / 60 < 60


def test_a_second_file_is_refused_before_anything_is_written(frontier, crawled, path):
    """`status` names one file, and whoever keeps that must have all; the line names it, and the remedy."""
    _trim(frontier, path)
    crawled(3)
    other = path.with_name("other.jsonl")
    with pytest.raises(
        UsageError, match=rf"were trimmed into {path}, .*go on with that file.*without --trim"
    ):
        _trim(frontier, other)

    assert not other.exists()
    assert _left(frontier) == (3, 3, 5)
    assert files.to_file(frontier.client, frontier.crawl, "jsonl", str(other)) == 3
    assert results.status(frontier.client, frontier.crawl).trimmed_to == str(path)
    assert _trim(frontier, path).trimmed == 3


def test_a_file_into_which_nothing_was_trimmed_binds_nobody(frontier, path):
    """An export that found no record has no claim."""
    standin.admit(frontier, standin.options(), f"http://{frontier.crawl}.test/")
    assert _trim(frontier, path).trimmed == 0
    assert _trim(frontier, path.with_name("other.jsonl")).trimmed == 0


def test_the_same_file_may_be_spelled_otherwise(frontier, crawled, path, monkeypatch):
    """A relative path and a symlink are the file, for `--trim` and for who must not overwrite it."""
    _trim(frontier, path)
    link = path.with_name("link.jsonl")
    link.symlink_to(path)
    monkeypatch.chdir(path.parent)
    for name in (link, "pages.jsonl", f"../{path.parent.name}/pages.jsonl"):
        crawled(2)
        assert _trim(frontier, name).trimmed == 2

    assert len(path.read_bytes().splitlines()) == 11
    assert results.status(frontier.client, frontier.crawl).trimmed_to == str(path)
    assert files.to_file(frontier.client, frontier.crawl, "jsonl", str(link)) == 11
    path.with_name("pages.jsonl.cursor").unlink()
    with pytest.raises(UsageError, match="holds records that were trimmed"):
        files.to_file(frontier.client, frontier.crawl, "jsonl", str(link))


def test_a_file_that_was_moved_is_not_begun_anew_under_its_name(frontier, crawled, path):
    """It would be a second one; moved back, it goes on."""
    _trim(frontier, path)
    crawled(2)
    away = path.rename(path.with_name("away.jsonl"))
    with pytest.raises(UsageError, match=r"were trimmed into .* move it and its cursor back"):
        _trim(frontier, path)
    assert not path.exists()
    away.rename(path)

    assert _trim(frontier, path) == trimmed.Trimmed(records=7, trimmed=2, kept=0)


def test_of_two_exports_at_once_the_later_one_trims_nothing(frontier, crawled, path, monkeypatch):
    """Both have found that nothing was trimmed; the script decides, and no record is in the wrong file alone."""
    write, begun = files.write_cursor, []
    other = path.with_name("other.jsonl")

    def overtaken(*arguments):
        write(*arguments)
        if not begun:
            begun.append(1)
            _trim(frontier, other)
            crawled(2)

    monkeypatch.setattr(files, "write_cursor", overtaken)
    with pytest.raises(UsageError, match=f"were trimmed into {other}"):
        _trim(frontier, path)

    assert _left(frontier) == (2, 2, 5)
    assert results.status(frontier.client, frontier.crawl).trimmed_to == str(other)
    with other.open("rb") as file:
        assert _audit(frontier, file).clean


def test_an_audit_with_a_file_of_something_else_says_so(frontier, crawled, path):
    """One line instead of twenty absent records; an empty file is right where nothing was trimmed."""
    foreign, empty = path.with_name("foreign"), path.with_name("empty.jsonl")
    foreign.write_bytes(b"\x7fELF\n" + b'{"url":"http://elsewhere.test/","outcome":"ok"}\n')
    empty.touch()
    with empty.open("rb") as file:
        assert _audit(frontier, file).clean
    with foreign.open("rb") as file, pytest.raises(UsageError, match="leave --with out: none was trimmed"):
        _audit(frontier, file)
    _trim(frontier, path)
    for wrong in (foreign, empty):
        with (
            wrong.open("rb") as file,
            pytest.raises(UsageError, match=rf"--with {wrong}: no line of it is a record of .*name {path}"),
        ):
            _audit(frontier, file)


@pytest.mark.parametrize("text", [b'{"url":"http://x.te', b"\xff\xfe", b"[]", b'{"url":"http://x.test/"}'])
def test_a_damaged_record_is_a_fault_and_is_not_trimmed(frontier, crawled, path, text):
    """It is named, no digest is made without it, and it stays in Redis."""
    client, crawl = frontier.client, frontier.crawl
    _, (_, fingerprint), *_ = results.entries(client, crawl)
    client.hset(keys.records(crawl), fingerprint, text)
    # As a crawl in which URLs were tried again has it: the generations are read from the records.
    client.hset(keys.crawl(crawl), "generation", 1)
    found = _audit(frontier)

    assert (found.clean, found.records, found.damaged, found.missing, found.strays) == (False, 5, 1, 0, 0)
    assert found.digest is None
    assert [(fault.kind, fault.fingerprint) for fault in found.faults] == [("damaged", fingerprint)]
    assert _trim(frontier, path) == trimmed.Trimmed(records=5, trimmed=4, kept=1)
    assert _trim(frontier, path) == trimmed.Trimmed(records=5, trimmed=0, kept=1)
    assert _left(frontier) == (1, 1, 4)
    with path.open("rb") as file:
        again = _audit(frontier, file)
    assert (again.records, again.damaged, again.absent) == (5, 1, 0)
