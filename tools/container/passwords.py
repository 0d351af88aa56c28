"""Writes the passwords of Redis and Flower into the volume that the services read them from; run once by `setup`.

A password given in the environment is written; else the one that is there stays, so that a restart locks nobody out;
else a random one is made. Files are readable by the services' user only, and appear whole (written aside, renamed).
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

#: Bytes of randomness in a password made here.
RANDOM_BYTES = 24


def write(path: Path, text: str) -> None:
    """Replace the file in one step; mode 0600."""
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    aside.replace(path)


def settle(path: Path, variable: str) -> str:
    """Return the password that `path` holds from now on. Raises ValueError when the given one cannot be used."""
    given = os.environ.get(variable, "")
    if any(character < " " or character in "\"'\\" for character in given) or given != given.strip():
        message = f"{variable} must not have quotes, backslashes, control characters or spaces at its ends"
        raise ValueError(message)
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    password = given or kept or secrets.token_urlsafe(RANDOM_BYTES)
    if password != kept:
        write(path, password)
    return password


def main() -> int:
    """Write all files; 2 when a given password cannot be used."""
    directory = Path(sys.argv[1])
    try:
        redis = settle(directory / "redis-password", "POOLCRAWL_REDIS_PASSWORD")
        settle(directory / "flower-password", "FLOWER_PASSWORD")
    except ValueError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    # Redis reads its password from a file of configuration: an argument would show it in the list of processes.
    write(directory / "redis.conf", f'requirepass "{redis}"\n')
    return 0


if __name__ == "__main__":
    sys.exit(main())
