"""Every session that the product opens in PostgreSQL sees pg_catalog and its own temporary tables only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import cdc
import sinks
from cdc.postgres import connect
from cdc.readers.pgoutput.wire import canonical

ROOMS = (Path(cdc.__file__).parent, Path(sinks.__file__).parent)
OPEN = {
    "postgres/connect.py": "connection.execute(_SETTINGS)",
    "readers/pgoutput/session.py": "options=SESSION_OPTIONS",
    "readers/pgoutput/snapshot.py": "options=SESSION_OPTIONS",
    "readers/pgoutput/reread.py": "options=SESSION_OPTIONS",
    "readers/pgoutput/table_reader.py": "options=SESSION_OPTIONS",
    "readers/pgoutput/probing/server_checks.py": "options=SESSION_OPTIONS",
}
"""Modules that open sessions with the driver itself, and what pins the path there."""


def opening() -> Iterator[tuple[str, str]]:
    """Modules that call psycopg.connect, with their text."""
    for room in ROOMS:
        for path in sorted(room.rglob("*.py")):
            name = path.relative_to(room).as_posix()
            text = path.read_text(encoding="utf-8")
            calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
            if any(ast.unparse(call.func).endswith("psycopg.connect") for call in calls):
                yield name, text


def test_every_module_that_opens_a_session_pins_its_search_path() -> None:
    """A new one is found here, and has to say how."""
    found = dict(opening())
    assert found.keys() == OPEN.keys()
    assert [name for name, text in found.items() if OPEN[name] not in text] == []
    assert "set search_path = pg_catalog, pg_temp" in connect._SETTINGS.strip().partition(";")[0]
    assert r"-c search_path=pg_catalog,\ pg_temp" in canonical.SESSION_OPTIONS
