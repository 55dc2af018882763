"""What a test leaves in the process is not seen by the next one."""

from __future__ import annotations

import pytest

from cdc import printable


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that an earlier test configured is not a secret in the next one's output."""
    monkeypatch.setattr(printable, "_secrets", set())
