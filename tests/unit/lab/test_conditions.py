"""What a report says of the machine it was made on."""

from __future__ import annotations

import platform

import pytest

from lab.conditions import conditions


@pytest.mark.parametrize("release", ["6.18.44-of-somebody", "6.1.0-18-amd64", "6.18.44"])
def test_the_kernel_is_named_by_its_version_alone(monkeypatch, release):
    """What a builder adds to it says nothing to a reader."""
    monkeypatch.setattr(platform, "release", lambda: release)
    monkeypatch.setattr(platform, "platform", lambda: f"Linux-{release}-x86_64-with-glibc2.36")

    assert conditions()["system"] == f"Linux-{release.partition('-')[0]}-x86_64-with-glibc2.36"
