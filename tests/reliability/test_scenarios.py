"""Every scenario of the bed; each takes minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.scenarios import SCENARIOS, run

SEED = 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_nothing_is_twice_and_all_continues(name: str, tmp_path: Path) -> None:
    assert run(name, SEED, tmp_path).compared.posted
