"""Recorded SQL_REDO texts and internal bytes; see tests/data/README_logminer.md for their sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.redo_corpus import wrong

DATA = Path(__file__).parents[2] / "data"


def cases(name: str) -> list[Any]:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [pytest.param(case, id=case["id"]) for case in map(json.loads, lines)]


@pytest.mark.parametrize("case", cases("logminer_redo.jsonl"))
def test_redo_text_means_what_was_recorded(case: dict[str, Any]) -> None:
    """Each recorded text is read with the values it means, or refused where it must be."""
    assert wrong(case) == []


@pytest.mark.parametrize("case", cases("logminer_hex_values.jsonl"))
def test_internal_bytes_decode(case: dict[str, Any]) -> None:
    """Values of undecoded rows come out of Oracle's internal bytes exactly."""
    assert wrong(case) == []
