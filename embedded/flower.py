"""Start Flower behind a login: `python -m embedded.flower`, in containers as on one machine.

Environment: CRAWL_REDIS_URL (CRAWL_REDIS_PASSWORD_FILE), FLOWER_USER (poolcrawl), FLOWER_PASSWORD or
FLOWER_PASSWORD_FILE (one is needed), FLOWER_ADDRESS (127.0.0.1), FLOWER_PORT (5555). Credentials stay out of argv:
`flowerconfig.py` reads them from the environment inside Flower's process.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from crawl import settings
from crawl.errors import SettingError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_USER = "poolcrawl"
DEFAULT_PORT = 5555

#: What Flower would take from the environment against our intent: an open API, other logins, a stored database.
_REMOVED = ("FLOWER_UNAUTHENTICATED_API", "FLOWER_BASIC_AUTH", "FLOWER_PASSWORD_FILE", "FLOWER_DB")


def password(environment: Mapping[str, str]) -> str:
    """Return Flower's password, from a variable or a file. Raises SettingError when there is none."""
    given = environment.get("FLOWER_PASSWORD")
    if given:
        return given
    path = environment.get("FLOWER_PASSWORD_FILE")
    if not path:
        message = "Flower needs a login: set FLOWER_PASSWORD or FLOWER_PASSWORD_FILE"
        raise SettingError(message)
    try:
        found = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"FLOWER_PASSWORD_FILE={path}: cannot be read ({getattr(error, 'strerror', 'not UTF-8')})"
        raise SettingError(message) from None
    if not found:
        message = f"FLOWER_PASSWORD_FILE={path}: is empty"
        raise SettingError(message)
    return found


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment Flower runs in, complete and checked."""
    kept = {
        name: value
        for name, value in given.items()
        # Click would map CELERY_* to celery's options.
        if name not in _REMOVED and not name.startswith(("CELERY_", "FLOWER_OAUTH2_"))
    }
    user = given.get("FLOWER_USER") or DEFAULT_USER
    if ":" in user:
        message = f"FLOWER_USER={user!r}: a user name cannot contain a colon"
        raise SettingError(message)
    port = given.get("FLOWER_PORT") or str(DEFAULT_PORT)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        message = f"FLOWER_PORT={port!r}: expected a port number from 1 to 65535"
        raise SettingError(message)
    return kept | {
        "FLOWER_USER": user,
        "FLOWER_PASSWORD": password(given),
        "FLOWER_ADDRESS": given.get("FLOWER_ADDRESS") or "127.0.0.1",
        "FLOWER_PORT": port,
    }


def command() -> list[str]:
    """Return Flower's command line, which holds no secret."""
    configuration = Path(__file__).with_name("flowerconfig.py")
    celery = [sys.executable, "-P", "-m", "celery", "--quiet", "--app", "crawl.broker:app"]
    return [*celery, "flower", f"--conf={configuration}"]


def main() -> NoReturn:
    """Become Flower; exits with one line on stderr when the environment is wrong."""
    try:
        if settings.load().redis_url is None:
            message = "CRAWL_REDIS_URL is not set; Flower needs the address of Redis"
            raise SettingError(message)
        variables = environment(os.environ)
    except UsageError as error:
        sys.stderr.write(f"flower: {error}\n")
        sys.exit(error.exit_code)
    arguments = command()
    os.execve(arguments[0], arguments, variables)  # noqa: S606  our own interpreter, no shell wanted


if __name__ == "__main__":
    main()
