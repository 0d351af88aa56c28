"""The file whose age says whether a process lives."""

from __future__ import annotations

import pytest

from crawl.errors import SettingError
from crawl.heartbeat import HeartbeatFile


def test_it_is_touched_at_the_check_and_from_then_on(tmp_path):
    """And grows young each time."""
    path = tmp_path / "heartbeat"
    file = HeartbeatFile(path)
    file.check()
    first = path.stat().st_mtime_ns
    path.unlink()
    file.touch()

    assert path.stat().st_mtime_ns > first


def test_without_one_nothing_is_touched():
    """Nor said."""
    said = []
    file = HeartbeatFile(None, said.append)
    file.check()
    file.touch()

    assert said == []


def test_a_file_that_cannot_be_touched_at_the_start_is_a_wrong_setting(tmp_path):
    """One line with the setting, the path and the remedy."""
    path = tmp_path / "missing" / "heartbeat"

    with pytest.raises(SettingError) as caught:
        HeartbeatFile(path).check()
    assert str(caught.value) == (
        f"CRAWL_HEARTBEAT_FILE={path}: No such file or directory; "
        "name a file in a folder that is there and can be written"
    )


def test_a_file_that_cannot_be_touched_any_more_is_said_once_until_it_can_be_again(tmp_path):
    """It raises nothing: whoever watches the file sees it grow old."""
    folder = tmp_path / "folder"
    path = folder / "heartbeat"
    said = []
    file = HeartbeatFile(path, said.append)
    file.touch()
    file.touch()
    once = list(said)
    folder.mkdir()
    file.touch()
    path.unlink()
    folder.rmdir()
    file.touch()

    assert [True] == [line.startswith(f"CRAWL_HEARTBEAT_FILE={path}: No such file") for line in once]
    assert 2 == len(said)
