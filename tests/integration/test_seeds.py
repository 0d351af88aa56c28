"""Seeds that come in while the crawl runs, from files given again, and more of them than options can hold."""

from __future__ import annotations

import contextlib
import signal
import subprocess

import pytest
from stack import POOLCRAWL, Directory, at_once, wait_for
from website import Website

from crawl import results

pytestmark = pytest.mark.timeout(240)

HOSTS = ("one.test", "two.test", "three.test")


def answer(request):
    """A page that links to one page of its own host and one of every other."""
    if request.path == "/leaf":
        return "a leaf"
    others = "".join(f'<a href="http://{host}:{request.port}/leaf">' for host in HOSTS)
    return others if request.path == "/" else "a page"


@pytest.fixture(scope="module")
def happened(tmp_path_factory):
    """What came of each crawl below, by its name. They run at the same time: each mostly waits."""
    base = tmp_path_factory.mktemp("seeds")
    works = {work.__name__: work for work in (stall, interrupt, kill, fill, give_file_again)}

    def happen(name):
        directory = Directory(base / name)
        with Website(dict.fromkeys(HOSTS, answer)) as site:
            try:
                return name, works[name](directory, site)
            finally:
                directory.end()

    return dict(at_once(happen, works, 3))


def streaming(directory, site, *arguments):
    """Start a crawl whose seeds come from a pipe."""
    command = (*POOLCRAWL, "crawl", "--name", "s", "--seeds", "-", "--delay", "0", *arguments)
    return directory.spawn((*command, *site.resolve(*HOSTS)), stdin=subprocess.PIPE)


def give(running, *lines):
    """Write lines to the pipe of a running crawl."""
    running.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
    running.process.stdin.flush()


def ended(running, within_s=60):
    """Wait until a crawl has ended; only then is its source closed."""
    done = running.ended(within_s)
    with contextlib.suppress(BrokenPipeError):
        running.process.stdin.close()
    return done


def have_records(directory, count):
    """Wait until so many pages have their record; return the status then."""
    client = directory.client()

    def enough():
        if "s" not in results.crawls(client):
            return None
        status = results.status(client, "s")
        return status if status.done >= count else None

    return wait_for(enough, f"{count} records")


def paths_of(directory, site):
    """Return host and path of every page that has a record."""
    port = f":{site.port}"
    found = [record["url"].removeprefix("http://").replace(port, "") for record in directory.records("s")]
    return sorted(found)


def stall(directory, site):
    """A source that gives one seed, then another and what is none, and ends at last."""
    running = streaming(directory, site)
    give(running, site.url("one.test"))
    first = have_records(directory, 2)
    give(running, "# a comment", "nonsense", site.url("two.test") + " # another")
    second = have_records(directory, 4)
    alive = running.process.poll() is None
    running.process.stdin.close()
    done = running.ended(60)
    return first, second, alive, done, paths_of(directory, site)


def test_seeds_are_crawled_while_their_source_is_open(happened):
    """A stalled source stops nothing: what it gave is crawled, hosts and all, and the crawl waits for more.

    It ends when the source ends. Bad lines are told with their number.
    """
    first, second, alive, done, paths = happened["stall"]

    assert (first.state, first.done, second.state, second.done) == ("running", 2, "running", 4)
    assert alive
    assert done.code == 0, done.stderr
    assert "standard input:3: 'nonsense' has no scheme" in done.stderr
    # The front page of the second host came later than the first one's links to it, and its host with it.
    assert paths == ["one.test/", "one.test/leaf", "two.test/", "two.test/leaf"]


def interrupt(directory, site):
    """Ctrl-C while the source is open, then the same name without one."""
    running = streaming(directory, site)
    give(running, site.url("one.test"))
    have_records(directory, 2)
    running.interrupt()
    interrupted = ended(running)
    return interrupted, directory.run("crawl", "--name", "s"), paths_of(directory, site)


def test_an_interrupted_crawl_goes_on_without_its_source(happened):
    """What the source gave is kept; continued by name, the crawl ends without it."""
    interrupted, continued, paths = happened["interrupt"]

    assert interrupted.code == 130
    assert "Traceback" not in interrupted.stderr
    assert "Fatal" not in interrupted.stderr
    assert continued.code == 0, continued.stderr
    assert paths == ["one.test/", "one.test/leaf"]


def kill(directory, site):
    """SIGKILL while the source is open, then the same name with the same source and one seed more."""
    running = streaming(directory, site)
    give(running, site.url("one.test"))
    have_records(directory, 2)
    running.interrupt(signal.SIGKILL)
    ended(running)
    again = streaming(directory, site)
    give(again, site.url("one.test"), site.url("three.test", "/leaf"))
    again.process.stdin.close()
    return again.ended(90), paths_of(directory, site), directory.audit("s")


def test_a_killed_crawl_takes_its_source_again(happened):
    """The same seeds do no harm, and new ones are crawled."""
    done, paths, audit = happened["kill"]

    assert done.code == 0, done.stderr
    assert paths == ["one.test/", "one.test/leaf", "three.test/leaf"]
    assert (audit["missing"], audit["duplicate"]) == (0, 0)


def fill(directory, site):
    """A source that stays open, and gives more than the crawl may have."""
    running = streaming(directory, site, "--max-pages", "2", "--depth", "0")
    give(running, *(site.url("one.test", f"/{number}") for number in range(5)))
    return ended(running), paths_of(directory, site)


def test_a_crawl_with_all_its_pages_waits_for_no_more_seeds(happened):
    """With --max-pages reached, a source that stays open for ever does not keep the crawl open."""
    done, paths = happened["fill"]

    assert done.code == 0, done.stderr
    assert "the rest of standard input is not read" in done.stderr
    assert len(paths) == 2


def give_file_again(directory, site):
    """A file, the same file once more, and the file with one line more."""
    directory.path.mkdir(parents=True, exist_ok=True)
    path = directory.path / "seeds.txt"
    path.write_text(site.url("one.test", "/leaf") + "\n")
    options = ("--name", "s", "--seeds", "seeds.txt")
    first = directory.run("crawl", *options, "--delay", "0", *site.resolve(*HOSTS))
    same = directory.run("crawl", *options)
    path.write_text(site.url("one.test", "/leaf") + "\n" + site.url("two.test") + "\n")
    return first, same, directory.run("crawl", *options), paths_of(directory, site)


def test_a_seeds_file_given_again_adds_what_is_new(happened):
    """Finished: nothing is done for the same file; one more line is crawled, and its host joins the scope."""
    first, same, more, paths = happened["give_file_again"]

    assert [done.code for done in (first, same, more)] == [0, 0, 0], more.stderr
    assert "finished already" in same.stderr
    assert paths == ["one.test/leaf", "two.test/", "two.test/leaf"]
