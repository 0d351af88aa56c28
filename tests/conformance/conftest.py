"""The public data these tests compare with."""

from __future__ import annotations

import publicdata
import pytest


@pytest.fixture(scope="session")
def sources(request):
    """A function from a package's name to its unpacked source distribution."""
    folder = publicdata.sources(request.config)
    return lambda package: folder / f"{package}-{publicdata.version_of(package)}"
