"""What every test of the checkout is given: servers, and its own code in the processes it starts."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parent

pytest_plugins = ["sandbox.testing"]

# a second worktree that uses the virtual environment of the first would start the first one's sandbox
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(ROOT), str(ROOT / "standin"), *filter(None, [os.environ.get("PYTHONPATH")])]
)
