"""The compose file of a real Oracle database is well formed; it is run where there is a container engine."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ruamel.yaml import YAML

FOLDER = Path(__file__).parents[1] / "oracle"


def test_the_compose_file_listens_on_loopback_and_finds_its_scripts() -> None:
    """A password known to everyone is not offered to the network."""
    service = YAML(typ="safe").load(FOLDER / "compose.yaml")["services"]["oracle"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    (mounted,) = service["volumes"]
    assert list((FOLDER / mounted.partition(":")[0]).glob("*.sh"))


def test_the_scripts_are_good_shell() -> None:
    """A typing error would show only where a container engine is."""
    for script in FOLDER.rglob("*.sh"):
        subprocess.run(["bash", "-n", str(script)], check=True)
        assert script.stat().st_mode & 0o111
