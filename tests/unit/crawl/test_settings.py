"""The environment becomes one typed object, or one line that says what is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crawl import records
from crawl.errors import SettingError
from crawl.settings import DEFAULT_USER_AGENT, Settings, check_resolve, load, with_password


def test_without_variables_every_setting_has_its_documented_default() -> None:
    """DESIGN's table of defaults is what an empty environment gives."""
    settings = load({})

    assert settings.redis_url is None
    assert Path(".poolcrawl") == settings.state_dir
    assert settings.pool == "threads"
    assert settings.concurrency is None
    assert settings.workers == 1
    assert settings.queues == ("fetch", "parse")
    assert (settings.batch, settings.pipeline, settings.window) == (20, "callback", None)
    assert (settings.delay_s, settings.host_concurrency, settings.robots) == (1.0, 8, "obey")
    assert settings.user_agent == DEFAULT_USER_AGENT
    assert (settings.connect_timeout_s, settings.read_timeout_s, settings.total_timeout_s) == (10, 20, 60)
    assert (settings.max_body_bytes, settings.max_redirects, settings.max_attempts) == (10 * 2**20, 10, 4)
    assert (settings.max_losses, settings.max_links, settings.lease_s) == (3, 10_000, 30)
    assert (settings.allow_addresses, settings.resolve, settings.events) == ((), (), None)


_NUMBERS = [
    name
    for name, field in Settings.model_fields.items()
    if re.search(r"\b(int|float)\b", str(field.annotation))
]


@pytest.mark.parametrize("name", _NUMBERS)
def test_every_number_has_a_most(name: str) -> None:
    """One that no socket, message or script takes is refused where it is given, not where it is used."""
    with pytest.raises(SettingError, match=f"CRAWL_{name.upper()}='{2**64}': input should be less than"):
        load({f"CRAWL_{name.upper()}": str(2**64)})


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_an_empty_variable_is_unset(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose passes `CRAWL_X: ${CRAWL_X:-}`, so an empty value means the default, read either way."""
    variable = f"CRAWL_{name.upper()}"
    monkeypatch.setenv(variable, "")

    assert getattr(load({}), name) == getattr(load(), name)
    assert getattr(load({}), name) == getattr(load({variable: ""}), name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CRAWL_POOL", "fibers"),
        ("CRAWL_FETCH_POOL", "fibers"),
        ("CRAWL_PARSE_POOL", "eventlet"),
        ("CRAWL_CONCURRENCY", "0"),
        ("CRAWL_CONCURRENCY", "-3"),
        ("CRAWL_CONCURRENCY", "many"),
        ("CRAWL_WORKERS", "0"),
        ("CRAWL_REDIS_URL", "localhost:6379"),
        ("CRAWL_REDIS_URL", "http://localhost"),
        ("CRAWL_REDIS_URL", "redis://"),
        ("CRAWL_REDIS_URL", "redis://localhost:port"),
        ("CRAWL_REDIS_URL", "redis://localhost:70000"),
        ("CRAWL_REDIS_URL", "redis://localhost/first"),
        ("CRAWL_QUEUES", "fetch,prase"),
        ("CRAWL_QUEUES", ","),
        ("CRAWL_EVENTS", "perhaps"),
        ("CRAWL_ALLOW_ADDRESSES", "10.0.0.0/99"),
        ("CRAWL_ALLOW_ADDRESSES", "no host"),
        ("CRAWL_RESOLVE", "example.org=127.0.0.1"),
        ("CRAWL_RESOLVE", "example.org:80=127.0.0.1:99999"),
        ("CRAWL_BATCH", "0"),
        ("CRAWL_BATCH", "1.5"),
        ("CRAWL_PIPELINE", "chain"),
        ("CRAWL_WINDOW", "0"),
        ("CRAWL_DELAY_S", "-1"),
        ("CRAWL_DELAY_S", "nan"),
        ("CRAWL_ROBOTS", "maybe"),
        ("CRAWL_USER_AGENT", "two\nlines"),
        ("CRAWL_TOTAL_TIMEOUT_S", "inf"),
        ("CRAWL_CONNECT_TIMEOUT_S", "0"),
        ("CRAWL_MAX_ATTEMPTS", "0"),
        ("CRAWL_MAX_REDIRECTS", "-1"),
        ("CRAWL_LEASE_S", "0"),
    ],
)
def test_a_malformed_value_is_one_line_that_names_the_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever mistypes a value reads which variable, which value, and what was expected."""
    with pytest.raises(SettingError) as caught:
        load({name: value})
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError) as caught_in_process:
        load()

    assert str(caught.value).startswith(f"{name}=")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert str(caught.value) == str(caught_in_process.value)


def test_a_password_is_not_printed_with_a_malformed_url() -> None:
    """An error message ends in logs and bug reports."""
    with pytest.raises(SettingError) as caught:
        load({"CRAWL_REDIS_URL": "redis://:hunter2@localhost:port"})

    assert "hunter2" not in str(caught.value)
    assert "localhost:port" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("CRAWL_POOLS", "CRAWL_POOL"),
        ("CRAWL_CONCURENCY", "CRAWL_CONCURRENCY"),
        ("CRAWL_REDISURL", "CRAWL_REDIS_URL"),
        ("crawl_pool", "CRAWL_POOL"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(name: str, nearest: str) -> None:
    """A mistyped name never silently leaves the default in force."""
    with pytest.raises(SettingError, match=f"{name} is not a setting of poolcrawl; did you mean {nearest}"):
        load({name: "threads"})


def test_other_peoples_variables_are_left_alone() -> None:
    """Only CRAWL_* is ours."""
    assert load({"CRAWLER": "1", "PATH": "/bin", "FLOWER_PORT": "x"}) == load({})


def test_thread_is_another_spelling_of_threads() -> None:
    """Celery calls the pool threads; many people write thread."""
    settings = load({"CRAWL_POOL": "thread", "CRAWL_PARSE_POOL": "thread"})

    assert (settings.pool, settings.parse_pool) == ("threads", "threads")


def test_lists_are_separated_by_commas() -> None:
    """Spaces around a comma and empty places count for nothing."""
    settings = load(
        {
            "CRAWL_QUEUES": "parse",
            "CRAWL_ALLOW_ADDRESSES": "127.0.0.1, 10.0.0.0/8,,fd00::/8,alpha.demo.test",
            "CRAWL_RESOLVE": "a.test:80=127.0.0.1:8080,b.test:443=[::1]:8443",
        }
    )

    assert settings.queues == ("parse",)
    assert settings.allow_addresses == ("127.0.0.1", "10.0.0.0/8", "fd00::/8", "alpha.demo.test")
    assert settings.resolve == ("a.test:80=127.0.0.1:8080", "b.test:443=[::1]:8443")


@pytest.mark.parametrize(
    "text", ["", "a.test", "a.test:80", "a.test:80=", "a.test=1.2.3.4:80", "a:80=b:0", "a:65536=b:80"]
)
def test_a_malformed_mapping_is_refused(text: str) -> None:
    """`--resolve` and CRAWL_RESOLVE share one check."""
    with pytest.raises(ValueError, match="NAME:PORT=ADDRESS:PORT"):
        check_resolve(text)


@pytest.mark.parametrize(("value", "events"), [("on", True), ("off", False), ("OFF", False)])
def test_events_are_on_or_off(value: str, events: bool) -> None:
    """The words of DESIGN, in any case."""
    assert load({"CRAWL_EVENTS": value}).events is events


def test_the_password_file_completes_the_url(tmp_path: Path) -> None:
    """Containers keep the password in a file, never in the environment."""
    secret = tmp_path / "redis-password"
    secret.write_text("s3cret/?\n")
    settings = load({"CRAWL_REDIS_URL": "redis://redis:6379/0", "CRAWL_REDIS_PASSWORD_FILE": str(secret)})

    assert settings.redis_address() == "redis://:s3cret%2F%3F@redis:6379/0"


def test_a_missing_password_file_is_named(tmp_path: Path) -> None:
    """One line, with the variable."""
    missing = tmp_path / "none"
    settings = load({"CRAWL_REDIS_URL": "redis://redis", "CRAWL_REDIS_PASSWORD_FILE": str(missing)})

    with pytest.raises(SettingError, match="CRAWL_REDIS_PASSWORD_FILE"):
        settings.redis_address()


def test_a_password_in_the_url_wins_over_the_file() -> None:
    """What is nearer to the server is meant."""
    assert with_password("redis://:own@redis/0", "other") == "redis://:own@redis/0"
    assert with_password("redis://user@redis:1/0", "p") == "redis://user:p@redis:1/0"


def test_a_crawl_freezes_the_crawl_scoped_settings() -> None:
    """Options take the submitter's environment, then what was said on the command line."""
    settings = load({"CRAWL_BATCH": "7", "CRAWL_DELAY_S": "0", "CRAWL_POOL": "solo"})
    options = settings.options(seeds=("http://a.test/",), batch=3)

    assert (options.batch, options.delay_s, options.seeds) == (3, 0.0, ("http://a.test/",))


def test_what_a_machine_may_reach_is_not_frozen_with_a_crawl() -> None:
    """A submitter's environment must not widen what other machines' workers may fetch."""
    settings = load({"CRAWL_ALLOW_ADDRESSES": "10.0.0.0/8", "CRAWL_RESOLVE": "a.test:80=127.0.0.1:1"})
    options = settings.options()

    assert options.allow_addresses is None
    assert options.resolve == ()


def test_options_survive_their_way_through_redis() -> None:
    """JSON and back gives the same options."""
    options = load({}).options(seeds=("http://a.test/",), include=("a+",), depth=0)

    assert records.options_from_json(records.to_json(options)) == options
