"""A transaction of any size in bounded memory; rows are generated, the process is measured as a whole."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(100_000, id="100,000"),
        pytest.param(5_000_000, marks=[pytest.mark.slow, pytest.mark.timeout(1_500)], id="5,000,000"),
    ],
)
def test_resident_memory_does_not_follow_the_rows(rows: int) -> None:
    """A billing batch of millions of rows stays under 512 MB; every row not undone comes out."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.long_transaction", str(rows)],
        capture_output=True,
        text=True,
        check=True,
    )
    figure = json.loads(done.stdout)
    assert figure["changes"] == rows - rows // 100
    assert figure["resident_bytes"] < figure["bar_resident_bytes"]
