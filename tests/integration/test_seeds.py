"""Seeds that come in while the crawl runs, from files given again, and more of them than options can hold."""

from __future__ import annotations

import contextlib
import signal
import subprocess

import pytest
from stack import POOLCRAWL, Directory, wait_for
from website import Website

from crawl import results

pytestmark = pytest.mark.timeout(120)

HOSTS = ("one.test", "two.test", "three.test")


def answer(request):
    """A page that links to one page of its own host and one of every other."""
    if request.path == "/leaf":
        return "a leaf"
    others = "".join(f'<a href="http://{host}:{request.port}/leaf">' for host in HOSTS)
    return others if request.path == "/" else "a page"


@pytest.fixture
def site():
    with Website(dict.fromkeys(HOSTS, answer)) as found:
        yield found


@pytest.fixture
def directory(tmp_path):
    made = Directory(tmp_path)
    yield made
    made.end()


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


def urls_of(directory):
    return sorted(record["url"] for record in directory.records("s"))


def test_seeds_are_crawled_while_their_source_is_open(directory, site):
    """A stalled source stops nothing: what it gave is crawled, hosts and all, and the crawl waits for more.

    It ends when the source ends. Bad lines are told with their number.
    """
    running = streaming(directory, site)
    give(running, site.url("one.test"))
    first = have_records(directory, 2)
    give(running, "# a comment", "nonsense", site.url("two.test") + " # another")
    second = have_records(directory, 4)
    alive = running.process.poll() is None
    running.process.stdin.close()
    done = running.ended(30)

    assert (first.state, first.done, second.state, second.done) == ("running", 2, "running", 4)
    assert alive
    assert done.code == 0, done.stderr
    assert "standard input:3: 'nonsense' has no scheme" in done.stderr
    # The front page of the second host came later than the first one's links to it, and its host with it.
    assert urls_of(directory) == sorted(site.url(host, path) for host in HOSTS[:2] for path in ("/", "/leaf"))


def test_an_interrupted_crawl_goes_on_without_its_source(directory, site):
    """Ctrl-C while the source is open: what it gave is kept; continued by name, the crawl ends without it."""
    running = streaming(directory, site)
    give(running, site.url("one.test"))
    have_records(directory, 2)
    running.interrupt()
    interrupted = ended(running)
    continued = directory.run("crawl", "--name", "s")

    assert interrupted.code == 130
    assert "Traceback" not in interrupted.stderr
    assert "Fatal" not in interrupted.stderr
    assert continued.code == 0, continued.stderr
    assert urls_of(directory) == [site.url("one.test"), site.url("one.test", "/leaf")]


def test_a_killed_crawl_takes_its_source_again(directory, site):
    """SIGKILL while the source is open, then the same name with the same source and one seed more."""
    running = streaming(directory, site)
    give(running, site.url("one.test"))
    have_records(directory, 2)
    running.interrupt(signal.SIGKILL)
    ended(running)
    again = streaming(directory, site)
    give(again, site.url("one.test"), site.url("three.test", "/leaf"))
    again.process.stdin.close()
    done = again.ended(60)

    assert done.code == 0, done.stderr
    assert urls_of(directory) == sorted(
        [site.url("one.test"), site.url("one.test", "/leaf"), site.url("three.test", "/leaf")]
    )
    assert [] == [one for one in ("missing", "duplicate") if directory.audit("s")[one]]


def test_a_crawl_with_all_its_pages_waits_for_no_more_seeds(directory, site):
    """With --max-pages reached, a source that stays open for ever does not keep the crawl open."""
    running = streaming(directory, site, "--max-pages", "2", "--depth", "0")
    give(running, *(site.url("one.test", f"/{number}") for number in range(5)))
    done = ended(running)

    assert done.code == 0, done.stderr
    assert "the rest of standard input is not read" in done.stderr
    assert len(urls_of(directory)) == 2


def test_a_seeds_file_given_again_adds_what_is_new(directory, site):
    """Finished: nothing is done for the same file; one more line is crawled, and its host joins the scope."""
    path = directory.path / "seeds.txt"
    path.write_text(site.url("one.test", "/leaf") + "\n")
    options = ("--name", "s", "--seeds", "seeds.txt")
    first = directory.run("crawl", *options, "--delay", "0", *site.resolve(*HOSTS))
    same = directory.run("crawl", *options)
    path.write_text(site.url("one.test", "/leaf") + "\n" + site.url("two.test") + "\n")
    more = directory.run("crawl", *options)
    client_seeds = [record["via"] for record in directory.records("s")]

    assert [done.code for done in (first, same, more)] == [0, 0, 0], more.stderr
    assert "finished already" in same.stderr
    assert sorted(client_seeds) == ["link", "seed", "seed"]
    assert urls_of(directory) == sorted(
        [site.url("one.test", "/leaf"), site.url("two.test"), site.url("two.test", "/leaf")]
    )
