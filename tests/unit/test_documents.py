"""The documents say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from cdc.staging.schema.tables import fixed_tables
from sinks.upsert.statements import pairs
from tests.support.errors import error_kinds

ROOT = Path(__file__).parents[2]
EVENT = re.compile(r"\.(?:debug|info|warning|error|exception)\(\s*\"([a-z_]+)\"")


def test_every_error_code_is_in_the_manual_once() -> None:
    """An operator who sees a code finds it; a code is never given twice."""
    codes = [kind.code for name, kind in error_kinds().items() if name != "CcbridgeError"]
    manual = re.findall(r"^\| (CDC-\d+) \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    assert len(codes) == len(set(codes))
    assert sorted(manual) == sorted(codes)


def test_every_log_event_is_in_the_manual() -> None:
    """Who searches logs for an event finds what it means, and nothing is listed that is not logged."""
    logged = {
        event
        for folder in ("cdc", "sinks", "mapping_rules")
        for path in (ROOT / folder).rglob("*.py")
        for event in EVENT.findall(path.read_text())
    }
    manual = re.findall(r"^\| `([a-z_]+)` \|", (ROOT / "docs/events.md").read_text(), re.MULTILINE)
    assert sorted(manual) == sorted(logged)


def test_every_pair_of_kind_and_type_is_in_the_manual() -> None:
    """What check refuses can be looked up."""
    assert pairs.manual() in (ROOT / "docs/rules.md").read_text()


def test_every_decision_is_in_their_list() -> None:
    """Who asks why finds the decision by its title; its number is its file's."""
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(
        r"^\| \[(\d{4})\]\((.+?)\) \| (.+) \|$", (folder / "README.md").read_text(), re.MULTILINE
    )
    titles = {path.name: path.read_text().splitlines()[0] for path in sorted(folder.glob("0*.md"))}
    assert [(name, f"# {number} {title}") for number, name, title in listed] == list(titles.items())
    assert all(name.startswith(number) for number, name, _ in listed)


def test_the_diagram_of_staging_shows_its_tables() -> None:
    """Every table and column drawn is there, with that type; entities stand for the tables of the rules."""
    drawn = (ROOT / "docs" / "diagrams" / "staging-tables.md").read_text()
    named = set(re.findall(r"^    (\w+) [|}]", drawn, re.MULTILINE)) | set(re.findall(r"[|{] (\w+) :", drawn))
    assert named - {"entity", "entity_history"} <= tables_by_name().keys()
    for table, columns in re.findall(r"^    (\w+) \{ (.+) \}$", drawn, re.MULTILINE):
        dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
        types = {one.name: one.type.compile(dialect).lower() for one in tables_by_name()[table].columns}
        for kind, name in re.findall(r"(\w+) (\w+)", columns):
            shown = {"timestamptz": "timestamp with time zone"}.get(kind, kind)
            assert types.get(name) == shown, f"{table}.{name}"


def tables_by_name() -> dict[str, Table]:
    """The fixed tables of staging."""
    return {table.name: table for table in fixed_tables().tables.values()}
