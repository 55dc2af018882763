"""Which sources are what their checkpoints belong to: a system that is another one is not written either.

Captures say what they found; deliveries ask before they write. A delivery waits for the capture of its own
system only until that has looked: one that cannot be reached says so, and what is written then is decided by
the target's own identity (`cdc.bindings`).
"""

from __future__ import annotations

import threading
from collections.abc import Collection

from cdc.bindings import TIMELINE
from cdc.errors import SourceChanged, TargetRefused

_POLL_S = 0.1


class SourcesFound:
    """Thread-safe; one per process.

    Args:
        expected: systems that are captured.
    """

    def __init__(self, expected: Collection[str] = ()) -> None:
        self._looked = {system: threading.Event() for system in expected}
        self._refused: dict[str, SourceChanged] = {}

    def looked(self, system: str) -> None:
        """The capture of a system has found it right, or could not look."""
        if system in self._looked:
            self._looked[system].set()

    def refuse(self, system: str, error: SourceChanged) -> None:
        """The capture of a system has found another database.

        A promoted standby is not another database: the capture cannot use its positions, yet it is the
        database that was written.
        """
        if error.changed - {TIMELINE}:
            self._refused[system] = error
        self.looked(system)

    def require(self, system: str, *, stop: threading.Event) -> None:
        """Return once the system may be written as far as its capture knows, or when asked to stop.

        Raises:
            TargetRefused: its capture found another database.
        """
        looked = self._looked.get(system)
        while looked is not None and not stop.is_set() and not looked.wait(_POLL_S):
            pass
        error = self._refused.get(system)
        if error is not None:
            raise TargetRefused(
                f"{system}: not written, as its capture was refused: {error}", hint=error.hint
            ) from error
