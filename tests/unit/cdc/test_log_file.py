"""The log file: rotated under us, unwritable, in the way of nothing."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cdc import log
from cdc.errors import ConfigurationError
from cdc.log import file as log_file
from cdc.log.file import LogFile


def test_a_file_that_was_renamed_or_removed_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As logrotate does it: no line is lost, none goes into the old file later than a second after."""
    path = tmp_path / "run.log"
    file = LogFile(path)
    file.write("one\n")
    path.rename(tmp_path / "run.log.1")
    file.write("two\n")
    monkeypatch.setattr(log_file, "LOOK_EVERY_S", 0.0)
    file.write("three\n")
    path.unlink()
    file.write("four \udcff\n")
    assert (tmp_path / "run.log.1").read_text() == "one\ntwo\n"
    assert path.read_text() == "four \\udcff\n"
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    """A restart appends."""
    path = tmp_path / "run.log"
    path.write_text("before\n")
    LogFile(path).write("after\n")
    assert path.read_text() == "before\nafter\n"


@pytest.mark.parametrize("name", ["missing/run.log", "link", "."])
def test_a_file_that_cannot_be_opened_is_a_failure_of_usage(tmp_path: Path, name: str) -> None:
    """At once and by name, before anything is replicated without a log; no link leads elsewhere."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="--log-file"):
        log.configure(file=tmp_path / name)
