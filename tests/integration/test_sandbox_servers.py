"""`python -m sandbox`: servers for work by hand."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cdc import config
from sandbox.installation import FolderInUse, claimed


@pytest.mark.timeout(120)
def test_servers_are_up_with_a_configuration_until_interrupted(tmp_path: Path) -> None:
    """What is written is a valid configuration; env.sh is there only while the servers are."""
    command = [sys.executable, "-m", "sandbox", str(tmp_path), "--persons", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("starting")
        assert process.stdout.readline().startswith("ready")
        check = f'. "{tmp_path}/env.sh" && {sys.executable} -m cdc.cli check'
        done = subprocess.run(["/bin/sh", "-c", check], capture_output=True, text=True, check=False)
        findings = done.stdout.splitlines()
        assert (done.returncode, findings[-1]) == (4, "1 finding(s)"), done.stdout + done.stderr
        assert "ccbridge migrate" in done.stdout
        with pytest.raises(FolderInUse), claimed(tmp_path):
            pass
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert not (tmp_path / "env.sh").exists()
    assert config.load(tmp_path / "ccbridge.toml", {}).systems.keys() == {"ccb", "prepaid"}
