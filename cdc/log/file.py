"""A log file that may be renamed or removed at any time, as logrotate does: lines then go into a new one."""

from __future__ import annotations

import os
import time
from pathlib import Path

LOOK_EVERY_S = 1.0
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW


class LogFile:
    """A stream for `cdc.log.writer.LogWriter`; used by its thread only.

    Args:
        path: the file; it is made readable for its owner and group.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, _FLAGS, 0o640)
        self._looked_at = time.monotonic()

    def write(self, text: str) -> None:
        """Append to the file that has the name now.

        Raises:
            OSError: it cannot be written.
        """
        if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            self._follow()
        data = text.encode(errors="backslashreplace")
        while data:
            data = data[os.write(self._descriptor, data) :]

    def flush(self) -> None:
        """Do nothing: nothing is kept back."""

    def _follow(self) -> None:
        try:
            is_same = os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except FileNotFoundError:
            is_same = False
        if not is_same:
            following = os.open(self._path, _FLAGS, 0o640)
            os.close(self._descriptor)
            self._descriptor = following
        self._looked_at = time.monotonic()
