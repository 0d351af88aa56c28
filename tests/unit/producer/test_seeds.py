"""Seeds from arguments and files: what is read, what is complained about, what is refused."""

from __future__ import annotations

import gzip

import pytest

from crawl.errors import UsageError
from crawl.records import CrawlOptions
from crawl.scope import Scope, scope_entry
from producer import seeds


@pytest.fixture
def seeds_file(tmp_path):
    """A function that writes bytes to a seeds file and returns its URLs and the complaints about it."""

    def _read(data):
        path = tmp_path / "seeds.txt"
        path.write_bytes(data)
        source = seeds.SeedsFile(str(path))
        source.check()
        complaints = []
        told = seeds.Complaints(source.shown, complaints.append)
        found = list(dict.fromkeys(seeds.Verdicts(source, told.tell)))
        told.end()
        return found, complaints

    return _read


def test_arguments_become_canonical_urls_in_order_and_once():
    """What a person types twice, or in another spelling, is one seed."""
    typed = ["http://B.test", "http://a.test/x/../", "HTTP://b.test:80/#top"]

    assert seeds.from_arguments(typed) == ["http://b.test/", "http://a.test/"]


def test_the_first_bad_argument_is_refused():
    """A typing error on the command line ends it, with the remedy."""
    with pytest.raises(UsageError, match=r"'b\.test' has no scheme; write http://b\.test"):
        seeds.from_arguments(["http://a.test/", "b.test"])


def test_a_file_has_one_url_per_line(seeds_file):
    """Empty lines, comments, spaces around and Windows line ends do not matter."""
    found, complaints = seeds_file(
        b"# mine\r\nhttp://a.test/\r\n\r\n  http://b.test/x \n#http://c.test/\nhttp://a.test"
    )

    assert found == ["http://a.test/", "http://b.test/x"]
    assert complaints == []


def test_bad_lines_are_told_with_their_number_and_the_rest_is_crawled(seeds_file):
    """A list of a thousand URLs is not refused for one of them."""
    found, complaints = seeds_file(b"http://a.test/\nwww.b.test\n\nftp://c.test/\nhttp://\nhttp://d.test/\n")

    assert found == ["http://a.test/", "http://d.test/"]
    assert [complaint.split(":")[1] for complaint in complaints] == ["2", "4", "5"]
    assert all("\n" not in complaint for complaint in complaints)


def test_a_byte_order_mark_is_no_part_of_the_first_url(seeds_file):
    """Editors on Windows write one."""
    assert seeds_file(b"\xef\xbb\xbfhttp://a.test/\n") == (["http://a.test/"], [])


def test_international_names_are_read_as_utf_8(seeds_file):
    """The canonical form is ASCII."""
    found, _ = seeds_file("http://bücher.test/größe\n".encode())

    assert found == ["http://xn--bcher-kva.test/gr%C3%B6%C3%9Fe"]


@pytest.mark.parametrize("data", [b"", b"\n \n\t\r\n"])
def test_an_empty_file_is_refused(seeds_file, data):
    """Nothing to crawl is a mistake, not a crawl that ends at once."""
    with pytest.raises(UsageError, match=r"--seeds .*seeds\.txt is empty; write one URL per line"):
        seeds_file(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\x02\x01\x01\x00\x00http://a.test/\n",
        b"GIF89a\x00\x01",
    ],
)
def test_a_binary_file_is_refused(seeds_file, data):
    """Also one that happens to hold a URL."""
    with pytest.raises(UsageError, match=r"is no text file; write one URL per line"):
        seeds_file(data)


@pytest.mark.parametrize("data", [b"# only comments\n", b"\xef\xbb\xbf", b"nonsense\nmore\n"])
def test_a_file_without_a_usable_line_is_refused(seeds_file, data):
    """The first bad line is quoted, so that the mistake can be seen."""
    with pytest.raises(UsageError, match=r"has no usable line"):
        seeds_file(data)


def test_complaints_hold_no_control_characters(seeds_file):
    """What a file says must not write into the terminal's state."""
    _, complaints = seeds_file(b"http://a.test/\n\x1b[31mwww.b.test\x07\n")
    with pytest.raises(UsageError) as refusal:
        seeds_file(b"\x1b]0;title\x07\xff\xfe\n")

    assert complaints
    assert all(text.isprintable() for text in (*complaints, str(refusal.value)))


def test_a_missing_file_is_refused_by_name(tmp_path):
    """One line that names the file and what is wrong with it."""
    missing = tmp_path / "none.txt"

    with pytest.raises(UsageError, match=r"--seeds .*none\.txt.*No such file"):
        seeds.SeedsFile(str(missing))
    with pytest.raises(UsageError, match=r"--seeds .*directory"):
        seeds.SeedsFile(str(tmp_path)).check()


@pytest.mark.parametrize("coding", ["utf-16", "utf-8-sig"])
def test_a_file_in_another_coding_is_read(seeds_file, coding):
    """Its mark says which."""
    assert seeds_file("http://a.test/ü\r\n".encode(coding)) == (["http://a.test/%C3%BC"], [])


def test_comments_may_follow_a_url(seeds_file):
    """White space before the `#` tells a comment from a fragment, which names the same page."""
    found, complaints = seeds_file(
        b"http://a.test/x # the best\nhttp://b.test/#top\nhttp://c.test/\t#\n  # http://d.test/\n"
    )

    assert found == ["http://a.test/x", "http://b.test/", "http://c.test/"]
    assert complaints == []


def test_a_packed_file_is_read(seeds_file):
    """Lists of a million URLs are kept packed."""
    assert seeds_file(gzip.compress(b"http://a.test/\n")) == (["http://a.test/"], [])


def test_a_packed_file_that_is_broken_is_told_and_its_beginning_crawled(seeds_file):
    """One line says that the rest is missing."""
    found, complaints = seeds_file(gzip.compress(b"http://a.test/\n" * 3)[:-5])

    assert found == ["http://a.test/"]
    assert len(complaints) == 1
    assert "ends too early" in complaints[0]


def test_bytes_that_are_no_text_make_no_other_url(seeds_file):
    """Latin-1 would silently name another page."""
    found, complaints = seeds_file(b"http://a.test/\nhttp://a.test/gr\xfc\xdfe\nhttp://a.test/x\n")

    assert found == ["http://a.test/", "http://a.test/x"]
    assert len(complaints) == 1
    assert "no UTF-8" in complaints[0]


def test_a_flood_of_bad_lines_is_counted(seeds_file):
    """The terminal still shows what else there is to say."""
    found, complaints = seeds_file(b"http://a.test/\n" + b"bad\n" * 1000)

    assert found == ["http://a.test/"]
    assert len(complaints) == seeds.MOST_COMPLAINTS + 1
    assert complaints[-1].endswith(": 900 further bad lines")


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("host", "http://www.a.co.uk/"),
        ("domain", "http://a.co.uk/"),
        ("prefix", "https://www.a.co.uk:444/x/"),
        ("any", None),
    ],
)
def test_a_seed_widens_the_scope_by_one_entry_that_others_share(kind, entry):
    """A million seeds of one site need one; the scope made of it is the scope made of the seed."""
    seed = "https://www.a.co.uk:444/x/y?z"
    found = scope_entry(kind, seed)

    assert found == entry
    of_entry = Scope(CrawlOptions(scope=kind), [found] if found else ())
    of_seed = Scope(CrawlOptions(scope=kind, seeds=(seed,)))
    for url in (
        seed,
        "http://www.a.co.uk/",
        "http://a.co.uk/",
        "http://b.co.uk/",
        "https://www.a.co.uk:444/x/",
    ):
        assert of_entry.refusal(url, 0) == of_seed.refusal(url, 0)


def test_a_scope_that_is_widened_forgets_its_refusals():
    """A host that was refused a moment ago may be a seed's now."""
    scope = Scope(CrawlOptions(seeds=("http://a.test/",)))
    before = scope.refusal("http://b.test/x", 0)
    scope.widen(["http://b.test/"])

    assert (before, scope.refusal("http://b.test/x", 0)) == ("scope", None)
