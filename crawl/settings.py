"""The environment, read once per process into one typed class; below it values are passed.

Every `CRAWL_*` variable is a field of `Settings`; an empty variable counts as unset, an unknown one is an error that
suggests the nearest. `docs/settings.md` lists them for people, and a test holds the two together.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from crawl.errors import SettingError
from crawl.names import QUEUES
from crawl.records import CrawlOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "CRAWL_"

PoolName = Literal["prefork", "threads", "gevent", "asyncio", "solo"]
Words = Annotated[tuple[str, ...], NoDecode]

VERSION = "0.1.0"
PROJECT_URL = "https://github.com/poolcrawl/poolcrawl"
DEFAULT_USER_AGENT = f"poolcrawl/{VERSION} (+{PROJECT_URL})"

_REDIS_URL = re.compile(
    r"^rediss?://(?:[^@/]*@)?[^:/@]+(?::\d{1,5})?(?:/\d{0,9})?(?:\?.*)?$|^rediss?://(?:[^@/]*@)?\[[0-9a-f:]+\].*$"
)
_RESOLVE = re.compile(r"^[^\s:=,]+:(\d{1,5})=(?:\[[0-9a-fA-F:]+\]|[^\s:=,]+):(\d{1,5})$")
_PROXY = re.compile(r"^http://(?:[^@/?#\s]*@)?(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):\d{1,5}/?$")
_HOST_NAME = re.compile(r"^(?!-)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?$")
_PORTS = range(1, 65_536)
#: The most of anything that is counted: what is greater fits no integer of Redis, of Lua or of a message.
MOST = 10**12
#: The most seconds of one wait: a socket takes no more than 24 days, and means them in milliseconds.
_DAY_S = 86_400
_YEAR_S = 365 * _DAY_S
#: Settings that may hold a password.
_WITH_LOGIN = frozenset({f"{PREFIX}REDIS_URL", f"{PREFIX}PROXY"})


class Settings(BaseSettings):
    """All settings of one process. Durations in seconds, sizes in bytes unless the name says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, allow_inf_nan=False
    )

    # Machine: where things are.
    redis_url: str | None = Field(None, description="Redis or Valkey to use; unset starts a private one")
    redis_password_file: Path | None = Field(
        None, description="file whose content is the password of CRAWL_REDIS_URL"
    )
    state_dir: Path = Field(Path(".poolcrawl"), description="where the embedded stack keeps its state")
    heartbeat_file: Path | None = Field(
        None, description="file a worker touches every 2 s from its consumer loop"
    )

    # Machine: workers.
    pool: PoolName = Field("threads", description="prefork, threads, gevent, asyncio or solo")
    concurrency: int | None = Field(None, ge=1, le=10_000, description="slots of one worker process")
    workers: int = Field(1, ge=1, le=1000, description="worker processes of the embedded stack")
    queues: Words = Field(QUEUES, description="what a worker serves: fetch, parse or both")
    fetch_pool: PoolName | None = Field(None, description="pool of workers that serve only fetch")
    parse_pool: PoolName | None = Field(None, description="pool of workers that serve only parse")
    events: bool | None = Field(None, description="Celery events, which Flower needs: on or off")
    allow_addresses: Words = Field(
        (), description="private addresses, networks or host names that may be fetched"
    )
    resolve: Words = Field((), description="NAME:PORT=ADDRESS:PORT, connect there instead of asking DNS")
    proxy: str | None = Field(None, description="http://[user:password@]host:port through which workers ask")
    extractors: Words = Field((), description="dotted names of functions that --extractor may name here")
    parse_timeout_s: float = Field(
        60, gt=0, le=86_400, description="most time parsing one page may take; then its worker process ends"
    )
    max_worker_mb: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="memory of a worker above which it is replaced; default: 80 % of its container's",
    )
    body_ttl_s: float = Field(
        3600, gt=0, le=_YEAR_S, description="how long a fetched body waits for its parse"
    )
    max_redis_mb: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="memory Redis may use; crawls slow down and pause below it; default: maxmemory",
    )
    max_bodies_mb: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="bodies of a crawl that wait for their parse; default: a quarter of the above",
    )

    # Crawl: frozen when a crawl is submitted.
    batch: int = Field(20, ge=1, le=1000, description="most URLs in one message")
    pipeline: Literal["callback", "fused"] = Field(
        "callback", description="parse as a callback task, or inside fetch"
    )
    window: int | None = Field(
        None, ge=1, le=MOST, description="batches in flight; default: twice the live fetch slots"
    )
    delay_s: float = Field(1.0, ge=0, le=3600, description="least time between two requests to one host")
    host_concurrency: int = Field(8, ge=1, le=1000, description="batches in flight per host, only at delay 0")
    robots: Literal["obey", "ignore"] = Field("obey", description="obey or ignore robots.txt")
    max_crawl_delay_s: float = Field(
        60, ge=0, le=86_400, description="longest Crawl-delay of a robots.txt that is obeyed as asked"
    )
    adaptive_delay: float = Field(
        0, ge=0, le=100, description="delay as a multiple of the host's own response time; 0: off"
    )
    max_hold_s: float = Field(
        3600, ge=0, le=_YEAR_S, description="longest time a server's Retry-After may hold its host"
    )
    user_agent: str = Field(DEFAULT_USER_AGENT, min_length=1, description="what we call ourselves")
    connect_timeout_s: float = Field(10, gt=0, le=_DAY_S, description="to connect")
    read_timeout_s: float = Field(20, gt=0, le=_DAY_S, description="between two reads")
    total_timeout_s: float = Field(60, gt=0, le=_DAY_S, description="wall clock for one request")
    max_body_bytes: int = Field(
        10 * 1024 * 1024, ge=1, le=MOST, description="raw and decompressed size of a body"
    )
    max_redirects: int = Field(10, ge=0, le=MOST, description="hops of one redirect chain")
    max_attempts: int = Field(4, ge=1, le=100, description="requests for one URL")
    max_losses: int = Field(3, ge=1, le=100, description="workers one URL may cost before it ends as lost")
    max_links: int = Field(10_000, ge=1, le=MOST, description="links kept per page")
    traps: Literal["park", "ignore"] = Field(
        "park", description="park URLs that look endless, or ignore that"
    )
    pattern_budget: int = Field(100_000, ge=1, le=MOST, description="URLs of one host and path pattern")
    calendar_budget: int = Field(
        2_000, ge=1, le=MOST, description="URLs of one host and path pattern that carries a date"
    )
    lease_s: float = Field(30, ge=1, le=_DAY_S, description="how long a silent worker keeps its batch")

    @field_validator("redis_url")
    @classmethod
    def _redis_url(cls, value: str | None) -> str | None:
        if value is not None and not (_REDIS_URL.match(value) and _has_valid_port(value)):
            message = "expected redis://[user:password@]host[:port][/db] or rediss://..."
            raise ValueError(message)
        return value

    @field_validator("proxy")
    @classmethod
    def _proxy(cls, value: str | None) -> str | None:
        if value is not None and not (_PROXY.match(value) and _has_valid_port(value)):
            message = (
                "expected http://[user:password@]host:port (no other kind of proxy is spoken to; "
                "write @, / and # of a password as %40, %2F, %23)"
            )
            raise ValueError(message)
        return value

    @field_validator("user_agent")
    @classmethod
    def _user_agent(cls, value: str) -> str:
        if not (value.isascii() and value.isprintable()):
            message = "expected one line of ASCII, as a header is"
            raise ValueError(message)
        return value

    @field_validator("pool", "fetch_pool", "parse_pool", mode="before")
    @classmethod
    def _pool(cls, value: object) -> object:
        # Celery says "threads"; people also write "thread".
        return "threads" if value == "thread" else value

    @field_validator("events", mode="before")
    @classmethod
    def _events(cls, value: object) -> object:
        if isinstance(value, str) and value.lower() not in {"on", "off"}:
            message = "expected on or off"
            raise ValueError(message)
        return value

    @field_validator("queues", "allow_addresses", "resolve", "extractors", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(word.strip() for word in value.split(",") if word.strip())
        return value

    @field_validator("queues")
    @classmethod
    def _queues(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [word for word in value if word not in QUEUES]
        if unknown or not value:
            message = f"expected a list of {', '.join(QUEUES)}"
            raise ValueError(message)
        return value

    @field_validator("allow_addresses")
    @classmethod
    def _allow_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for word in value:
            check_address(word)
        return value

    @field_validator("resolve")
    @classmethod
    def _resolve(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for word in value:
            check_resolve(word)
        return value

    @property
    def max_redis_bytes(self) -> int | None:
        """CRAWL_MAX_REDIS_MB in bytes."""
        return None if self.max_redis_mb is None else self.max_redis_mb * 2**20

    @property
    def max_bodies_bytes(self) -> int | None:
        """CRAWL_MAX_BODIES_MB in bytes."""
        return None if self.max_bodies_mb is None else self.max_bodies_mb * 2**20

    def redis_address(self) -> str | None:
        """Return CRAWL_REDIS_URL with the password of CRAWL_REDIS_PASSWORD_FILE, if it has none of its own.

        Raises SettingError when the file cannot be read.
        """
        if self.redis_url is None or self.redis_password_file is None:
            return self.redis_url
        try:
            password = self.redis_password_file.read_text().strip()
        except OSError as error:
            message = f"CRAWL_REDIS_PASSWORD_FILE={self.redis_password_file}: {error.strerror or error}"
            raise SettingError(message) from None
        return with_password(self.redis_url, password)

    def options(self, **changes: object) -> CrawlOptions:
        """Return a crawl's frozen options: this environment's crawl-scoped settings, then what the caller gives."""
        shared = {name for name in CrawlOptions.__struct_fields__ if name in type(self).model_fields}
        # Machine-scoped names that options hold too: what the submitter says, never its environment.
        shared -= {"resolve", "allow_addresses"}
        values: dict[str, object] = {name: getattr(self, name) for name in shared}
        values.update(changes)
        return CrawlOptions(**values)  # type: ignore[arg-type]


def with_password(redis_url: str, password: str) -> str:
    """Return a Redis URL with a password, unchanged when it has one already."""
    parts = urlsplit(redis_url)
    if parts.password or not password:
        return redis_url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{quote(password, safe='')}@{host}"))


def check_resolve(text: str) -> str:
    """Return a NAME:PORT=ADDRESS:PORT mapping unchanged; raise ValueError when it is malformed."""
    match = _RESOLVE.match(text)
    if not match or not all(int(port) in _PORTS for port in match.groups()):
        message = f"'{text}' is not NAME:PORT=ADDRESS:PORT"
        raise ValueError(message)
    return text


def check_address(text: str) -> str:
    """Return a network, an address or a host name unchanged; raise ValueError when it is none of them."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        # Digits and dots only: an address with a mistake in it, never a host name.
        if not _HOST_NAME.match(text) or re.fullmatch(r"[0-9.]+", text):
            message = f"'{text}' is no network (10.0.0.0/8), address or host name"
            raise ValueError(message) from None
    return text


def _has_valid_port(url: str) -> bool:
    try:
        port = urlsplit(url).port
    except ValueError:
        return False
    return port is None or port in _PORTS


def _check_unknown(environment: Mapping[str, str]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else "; see docs/settings.md"
            message = f"{name} is not a setting of poolcrawl{hint}"
            raise SettingError(message)


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this process.

    Raises SettingError, in one line, for a variable that is unknown or malformed.
    """
    _check_unknown(os.environ if environment is None else environment)
    try:
        return Settings() if environment is None else _from(environment)
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        expected = first["msg"].removeprefix("Value error, ")
        message = f"{name}={_shown(name, first.get('input'))}: {expected[0].lower() + expected[1:]}"
        raise SettingError(message) from None


def _shown(name: str, value: object) -> str:
    """Return a value as it was typed, in quotes, without the password of a URL."""
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    if name in _WITH_LOGIN:
        # However badly it is written: all that stands before the last @ may be a password.
        return repr(re.sub(r"^(\w+://)?.*@", r"\1...@", text, flags=re.DOTALL))
    return repr(re.sub(r"//[^@/]*@", "//...@", text))


def _from(environment: Mapping[str, str]) -> Settings:
    values = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and value
    }
    return Settings.model_validate(values)
