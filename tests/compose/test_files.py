"""What the container files promise by their text; needs no engine."""

from __future__ import annotations

import re

from compose.stack import ROOT

from crawl.settings import PREFIX, Settings

#: Settings that a person does not choose in containers: fixed by the compose file, or of the embedded stack only.
NOT_KNOBS = {"redis_url", "redis_password_file", "heartbeat_file", "state_dir", "workers"}

COMPOSE = (ROOT / "docker-compose.yml").read_text()


def knobs_in(text: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, text, re.MULTILINE))


def test_every_setting_reaches_the_containers_and_no_other_name_does():
    """A `CRAWL_*` variable that the compose file does not pass on would be ignored without a word."""
    expected = {PREFIX + name.upper() for name in Settings.model_fields if name not in NOT_KNOBS}

    assert expected == knobs_in(COMPOSE, r"\$\{(CRAWL_[A-Z_]+)")


def test_the_head_of_the_compose_file_names_every_knob():
    """A newcomer finds all of them in one place."""
    head = COMPOSE.split("\nname:")[0]
    expected = knobs_in(COMPOSE, r"\$\{([A-Z_]+)")

    assert expected == {name for name in expected if re.search(rf"\b{name}\b", head)}


def test_the_example_environment_names_every_knob_and_sets_none():
    """`cp .env.example .env` changes nothing until a line is uncommented."""
    example = (ROOT / ".env.example").read_text()

    assert knobs_in(COMPOSE, r"\$\{([A-Z_]+)") == knobs_in(example, r"^#([A-Z_]+)=")
    assert set() == knobs_in(example, r"^([A-Z_]+)=")


def test_the_images_are_named_alike_wherever_they_are_named():
    """Stand-ins are of use only under exactly the names that are built from and run."""
    tool = (ROOT / "tools" / "base-images").read_text()
    named = set(re.findall(r"^(?:python|redis)_image=(\S+)", tool, re.MULTILINE))
    used = set(re.findall(r"^FROM (\S+:\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    used |= set(re.findall(r"^ +image: (redis:\S+)", COMPOSE, re.MULTILINE))

    assert named == used


def test_nothing_is_published_beyond_this_machine():
    """Flower alone has a port, on the loopback address."""
    ports = re.findall(r"^ +ports:\n((?: +- .*\n)+)", COMPOSE, re.MULTILINE)

    assert [line.strip() for line in ports] == ["- 127.0.0.1:${FLOWER_PORT:-5555}:5555"]
