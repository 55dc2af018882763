"""Parameters of which each run takes a few, and `make test-all` every one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few(values: Iterable[Any], every: int) -> list[Any]:
    """Each value as a parameter, slow but for every n-th: for matrices that unit tests walk as a whole."""
    return [
        value if number % every == 0 else pytest.param(value, marks=pytest.mark.slow)
        for number, value in enumerate(values)
    ]
