"""The demo: the main job from an empty machine to a comparison of both sides."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "cdc.cli", "demo", "--persons", "200"]


@pytest.mark.timeout(180)
def test_demo_ends_with_both_sides_equal() -> None:
    """The last line gives the counts, differences=0, and the exit code is 0."""
    done = subprocess.run([*COMMAND, "--seconds", "5"], capture_output=True, text=True, check=False)
    last = done.stdout.splitlines()[-1] if done.stdout else done.stderr[-2000:]
    pattern = r"demo ok: persons=\d+ accounts=\d+ recharges=(\d+) posted=(\d+) differences=0"
    match = re.fullmatch(pattern, last)
    assert match, last
    assert match[1] == match[2] != "0"
    assert done.returncode == 0


@pytest.mark.timeout(180)
def test_ctrl_c_ends_the_traffic_and_still_compares() -> None:
    """Without a number of seconds the demo runs until it is interrupted, then drains and compares."""
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("traffic on both sides"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert "demo ok" in out, err[-2000:]
    assert process.returncode == 0
