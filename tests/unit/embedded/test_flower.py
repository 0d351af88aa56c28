"""Flower is never open, and its password never on a command line."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from crawl.errors import SettingError
from embedded import flower


def test_flower_without_a_password_is_refused():
    """With no login its pages are open to anybody (FACTS: Flower)."""
    with pytest.raises(SettingError, match="set FLOWER_PASSWORD or FLOWER_PASSWORD_FILE"):
        flower.environment({"CRAWL_REDIS_URL": "redis://x"})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"FLOWER_PASSWORD": "p", "FLOWER_USER": "a:b"}, "FLOWER_USER='a:b'"),
        ({"FLOWER_PASSWORD": "p", "FLOWER_PORT": "0"}, "FLOWER_PORT='0'"),
        ({"FLOWER_PASSWORD": "p", "FLOWER_PORT": "http"}, "FLOWER_PORT='http'"),
        ({"FLOWER_PASSWORD_FILE": "/nowhere/at/all"}, "FLOWER_PASSWORD_FILE=/nowhere/at/all"),
    ],
)
def test_a_wrong_variable_is_named(given, words):
    """One line naming the variable."""
    with pytest.raises(SettingError) as refused:
        flower.environment(given)

    assert words in str(refused.value)


def test_the_password_comes_from_a_file_without_its_line_end(tmp_path):
    """As a secret is mounted into a container."""
    secret = tmp_path / "secret"
    secret.write_text("from-file\n")

    made = flower.environment({"FLOWER_PASSWORD_FILE": str(secret)})

    assert made["FLOWER_PASSWORD"] == "from-file"


def test_an_empty_password_file_is_refused(tmp_path):
    """An empty password is no login."""
    (tmp_path / "secret").write_text("\n")

    with pytest.raises(SettingError, match="is empty"):
        flower.environment({"FLOWER_PASSWORD_FILE": str(tmp_path / "secret")})


def test_what_would_open_the_api_or_steer_celery_is_removed():
    """The environment cannot undo the login."""
    made = flower.environment(
        {
            "FLOWER_PASSWORD": "p",
            "FLOWER_UNAUTHENTICATED_API": "true",
            "CELERY_BROKER": "redis://other",
            "HOME": "/h",
        }
    )

    assert not {"FLOWER_UNAUTHENTICATED_API", "CELERY_BROKER"} & made.keys()
    assert made["HOME"] == "/h"


def test_the_command_line_holds_no_secret():
    """Anybody on the machine can list command lines."""
    assert not [word for word in flower.command() if "password" in word or "auth" in word]


def test_the_configuration_asks_for_the_login_and_changes_nothing(monkeypatch):
    """Flower executes this file; its variables are Flower's options."""
    for name, value in flower.environment({"FLOWER_PASSWORD": "p"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CRAWL_EVENTS", "on")

    options = runpy.run_path(str(Path(flower.__file__).with_name("flowerconfig.py")))

    assert options["basic_auth"] == ["poolcrawl:p"]
    assert (options["address"], options["port"]) == ("127.0.0.1", 5555)
    assert (options["read_only"], options["max_tasks"], options["enable_events"]) == (True, 5000, True)
