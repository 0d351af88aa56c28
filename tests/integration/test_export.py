"""Export to a file: each record once, whatever the run before was killed at."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import subprocess
import sys

import msgspec
import pytest
import standin

from crawl import audit as auditing
from crawl import keys
from crawl.errors import UsageError
from export import files, trimmed


@pytest.fixture
def crawled(frontier, host):
    """A function that crawls so many further pages of the host."""
    options = standin.options(batch=1)
    numbers = iter(range(10_000))

    def _crawl(count):
        standin.admit(frontier, options, *(f"http://{host}/{next(numbers)}" for _ in range(count)))
        while batches := standin.lease(frontier, options):
            for batch in batches:
                standin.visit(frontier, batch, options)

    _crawl(5)
    return _crawl


def _urls(path):
    return [json.loads(line)["url"] for line in path.read_bytes().splitlines()]


def _in_redis(frontier):
    stream = io.BytesIO()
    files.to_stream(frontier.client, frontier.crawl, "jsonl", stream)
    return stream.getvalue()


def test_every_record_is_written_once_in_order_of_completion(frontier, crawled, tmp_path):
    """The file holds what the results stream says, no more and no less."""
    path = tmp_path / "pages.jsonl"

    written = files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))

    assert written == 5
    assert path.read_bytes() == _in_redis(frontier)
    assert len(set(_urls(path))) == 5


def test_a_second_run_appends_what_is_new(frontier, crawled, tmp_path):
    """An export of a running crawl is continued, not begun anew."""
    path = tmp_path / "pages.jsonl"
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))
    first = path.read_bytes()
    crawled(3)

    assert files.to_file(frontier.client, frontier.crawl, "jsonl", str(path)) == 8
    assert path.read_bytes() == _in_redis(frontier)
    assert path.read_bytes().startswith(first)
    assert files.to_file(frontier.client, frontier.crawl, "jsonl", str(path)) == 8


@pytest.mark.parametrize("cut", [1, 10, -1])
def test_what_a_kill_left_half_written_is_cut_off(frontier, crawled, tmp_path, monkeypatch, cut):
    """A kill between two cursors leaves lines, or half of one, that the cursor does not know."""
    monkeypatch.setattr(files, "CHUNK", 2)
    path = tmp_path / "pages.jsonl"
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))
    cursor_path = tmp_path / "pages.jsonl.cursor"
    cursor, before = cursor_path.read_bytes(), path.read_bytes()
    crawled(4)
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))
    cursor_path.write_bytes(cursor)
    path.write_bytes(path.read_bytes()[: len(before) + cut] if cut > 0 else path.read_bytes())

    assert files.to_file(frontier.client, frontier.crawl, "jsonl", str(path)) == 9
    assert path.read_bytes() == _in_redis(frontier)


def test_a_kill_while_the_cursor_was_replaced_loses_nothing(frontier, crawled, tmp_path):
    """The new cursor lies beside the old one until it is complete."""
    path = tmp_path / "pages.jsonl"
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))
    (tmp_path / "pages.jsonl.cursor.new").write_bytes(b'{"crawl_id":"hal')
    crawled(1)

    assert files.to_file(frontier.client, frontier.crawl, "jsonl", str(path)) == 6
    assert path.read_bytes() == _in_redis(frontier)


@pytest.mark.parametrize("broken", [b"", b"{", b'{"crawl_id": 7}', b"\xff\xfe"])
def test_a_broken_cursor_means_from_the_beginning(frontier, crawled, tmp_path, broken):
    """Better to write all of it again than to guess; still each record once."""
    path = tmp_path / "pages.jsonl"
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))
    (tmp_path / "pages.jsonl.cursor").write_bytes(broken)

    assert files.to_file(frontier.client, frontier.crawl, "jsonl", str(path)) == 5
    assert path.read_bytes() == _in_redis(frontier)


def test_a_file_that_lost_its_end_or_is_gone_is_written_anew(frontier, crawled, tmp_path):
    """The cursor counts only for the file it was written for."""
    path = tmp_path / "pages.jsonl"
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))
    shortened = path.read_bytes()
    path.unlink()
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))

    assert shortened == whole == path.read_bytes()


def test_a_cursor_of_another_crawl_does_not_count(frontier, new_frontier, crawled, host, tmp_path):
    """A crawl of the same name that was made anew has another id; its file starts from the beginning."""
    path = tmp_path / "pages.jsonl"
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))
    cursor_path = tmp_path / "pages.jsonl.cursor"
    cursor = msgspec.json.decode(cursor_path.read_bytes())
    cursor_path.write_bytes(msgspec.json.encode({**cursor, "crawl_id": "another"}))

    assert files.to_file(frontier.client, frontier.crawl, "jsonl", str(path)) == 5
    assert path.read_bytes() == _in_redis(frontier)


def test_a_trimmed_record_is_left_out(frontier, crawled, tmp_path):
    """The stream may name a record that was trimmed since; the export goes on with the next one."""
    path = tmp_path / "pages.jsonl"
    field = frontier.client.hkeys(keys.records(frontier.crawl))[2]
    frontier.client.hdel(keys.records(frontier.crawl), field)

    assert files.to_file(frontier.client, frontier.crawl, "jsonl", str(path)) == 4


def test_an_output_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    """One line that names the file; a check leaves no file behind and no old one changed."""
    old = tmp_path / "old.jsonl"
    old.write_bytes(b"kept\n")
    files.check_writable(str(old))
    files.check_writable(str(tmp_path / "new.jsonl"))

    assert [path.name for path in tmp_path.iterdir()] == ["old.jsonl"]
    assert old.read_bytes() == b"kept\n"
    for name in (str(tmp_path), str(tmp_path / "none" / "x.jsonl"), f"{old}/x.jsonl"):
        with pytest.raises(UsageError, match=r"--output .* cannot be written"):
            files.check_writable(name)


def test_a_file_that_another_run_writes_is_refused(frontier, crawled, tmp_path):
    """It stays as it is, however it is named, and the line names it; when the other one has ended, it goes on."""
    path, link = tmp_path / "pages.jsonl", tmp_path / "link.jsonl"
    files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))
    link.symlink_to(path)
    before = path.read_bytes()
    path.with_name("pages.jsonl.cursor").unlink()
    with files.held(str(path)):
        for name in (path, link):
            with pytest.raises(UsageError, match=rf"--output {name} is being written by another poolcrawl; "):
                files.to_file(frontier.client, frontier.crawl, "jsonl", str(name))
        files.check_writable(str(path))
        assert path.read_bytes() == before

    assert files.to_file(frontier.client, frontier.crawl, "jsonl", str(link)) == 5


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("trim", [False, True])
def test_beside_an_export_that_trims_the_later_one_is_refused(
    frontier, crawled, tmp_path, monkeypatch, begun, trim
):
    """Before it reads the cursor or cuts anything off; the file has every record once."""
    client, crawl, path = frontier.client, frontier.crawl, tmp_path / "pages.jsonl"
    if begun:
        files.to_file(client, crawl, "jsonl", str(path))
    crawled(45)
    whole = auditing.audit(client, crawl).digest
    write, refused = files.write_cursor, []

    def export():
        if trim:
            trimmed.to_file(client, crawl, str(path))
        else:
            files.to_file(client, crawl, "jsonl", str(path))

    def overtaken(*arguments):
        write(*arguments)
        with pytest.raises(UsageError, match=rf"--output {path} is being written by another poolcrawl; "):
            export()
        refused.append(1)

    monkeypatch.setattr(files, "CHUNK", 20)
    monkeypatch.setattr(files, "write_cursor", overtaken)
    found = trimmed.to_file(client, crawl, str(path))

    assert refused
    assert (found.records, found.trimmed, found.kept) == (50, 50, 0)
    assert len(path.read_bytes().splitlines()) == 50
    with path.open("rb") as file:
        assert auditing.audit(client, crawl, file).digest == whole


def test_a_kill_ends_what_was_held(frontier, crawled, tmp_path):
    """Nothing is left behind that somebody would have to remove."""
    path = tmp_path / "pages.jsonl"
    code = "import sys; from export import files\nwith files.held(sys.argv[1]): print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"\n"
        with pytest.raises(UsageError, match="is being written by another poolcrawl"):
            files.to_file(frontier.client, frontier.crawl, "jsonl", str(path))
        holder.kill()
        holder.wait()

    assert files.to_file(frontier.client, frontier.crawl, "jsonl", str(path)) == 5
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pages.jsonl", "pages.jsonl.cursor"]


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks_is_written_as_ever(frontier, crawled, tmp_path, monkeypatch, number):
    """An export there is as good as it was before there were locks."""

    def refused(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)
    path = tmp_path / "pages.jsonl"
    files.check_writable(str(path))
    assert not path.exists()
    assert files.to_file(frontier.client, frontier.crawl, "jsonl", str(path)) == 5
    crawled(1)
    assert files.to_file(frontier.client, frontier.crawl, "jsonl", str(path)) == 6


def test_a_check_removes_no_file_that_another_run_has_begun(tmp_path, monkeypatch):
    """It makes a file to see whether it can; from then on others may find it."""
    path, lock = tmp_path / "pages.jsonl", fcntl.flock
    others = []

    def overtaken(*arguments):
        if not others:
            others.append(path.open("ab"))
            lock(others[0], fcntl.LOCK_EX)
        lock(*arguments)

    monkeypatch.setattr(fcntl, "flock", overtaken)
    files.check_writable(str(path))

    assert path.exists()
    others[0].close()


def test_a_file_that_is_removed_while_it_is_taken_is_made_again(frontier, crawled, tmp_path, monkeypatch):
    """What was locked then is nobody's file any more."""
    path, lock, removed = tmp_path / "pages.jsonl", fcntl.flock, []

    def overtaken(*arguments):
        if not removed:
            removed.append(path.unlink())
        lock(*arguments)

    monkeypatch.setattr(fcntl, "flock", overtaken)

    assert files.to_file(frontier.client, frontier.crawl, "jsonl", str(path)) == 5
    assert path.read_bytes() == _in_redis(frontier)


def test_an_error_leaves_no_empty_file_that_was_not_there(tmp_path):
    """Also where a symlink names it, which stays."""
    path, link, old = tmp_path / "new.jsonl", tmp_path / "link.jsonl", tmp_path / "old.jsonl"
    link.symlink_to(path)
    old.touch()
    for name in (path, link, old):
        with pytest.raises(UsageError, match="no"), files.held(str(name)):
            raise UsageError("no")
    files.check_writable(str(link))

    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.jsonl", "old.jsonl"]


def test_a_pipe_is_never_held(frontier, crawled, tmp_path):
    """Neither a pipe nor a device has anything that two could overwrite."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream:
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert files.to_file(frontier.client, frontier.crawl, "jsonl", f"/dev/fd/{writer}") == 5
        os.close(writer)
        assert stream.read() == _in_redis(frontier)
    assert files.to_file(frontier.client, frontier.crawl, "jsonl", "/dev/null") == 5
