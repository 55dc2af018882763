"""The list of statements sent to Oracle is whole: every SQL text in a module that sends is in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import cdc
from cdc.changes import SourceColumn, SourceTable, SourceType, TableName
from cdc.config import OracleSystem
from cdc.flows.checks.statements import SQL, Place, Statement, modules, statements
from sinks.ccb_payment_upload.ccb import ouaf
from sinks.ccb_payment_upload.ccb.statements import of_tables
from sinks.ccb_payment_upload.ccb.tables import NEEDED, UploadTables

ROOT = Path(cdc.__file__).parents[1]
SETTINGS = OracleSystem(
    kind="oracle",
    dsn="h:1/x",
    user="CCBRIDGE",
    insecure=True,
    pdb="CCBPDB",
    apply_log="APPLY",
    session_max_pga_bytes=1,
    instances={2: "h:1/two"},
)
PRINTED = ("begin rdsadmin.", "begin {}.grant_admin_privilege(")
"""What is printed for a DBA and never sent."""
NOT_SQL = {"update {} set {} = EMPTY_CLOB(){}", "update without set"}
"""Redo that is made up to be read, and a reason; never sent."""


def text_of(node: ast.AST) -> str | None:
    """A text, `{}` in place of what is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
    return None


def texts(path: Path) -> Iterator[str]:
    """Every SQL text of a module, parts of longer ones and docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parts = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = text_of(node)
        if text and id(node) not in parts | prose and SQL.match(text.replace("{}", "x")):
            yield text


def pattern(text: str) -> re.Pattern[str]:
    """Matches a statement made from a text."""
    fixed = re.split(r"\{\w*\}", " ".join(text.split()))
    return re.compile(".*".join(map(re.escape, fixed)), re.DOTALL)


class Described(UploadTables):
    """The upload tables of a release, without a database."""

    def __init__(self) -> None:
        self.owner = "CISADM"
        self.tables = {
            table: {name: ouaf.Column(name, "VARCHAR2", 20, nullable=False) for name in columns}
            for table, columns in NEEDED.items()
        }


TABLE = SourceTable(
    TableName("CISADM", "T"),
    (
        SourceColumn("ID", SourceType.NUMBER, "NUMBER"),
        SourceColumn("D", SourceType.TIMESTAMP, "DATE"),
        SourceColumn("L", SourceType.TEXT, "CLOB", large=True),
    ),
    ("ID",),
)


def listed() -> list[Statement]:
    """Every statement of a site with all settings."""
    return statements(SETTINGS, {TABLE.name: TABLE}, of_tables(Described(), SETTINGS))


def test_every_sql_text_of_a_module_that_sends_to_oracle_is_in_the_list() -> None:
    """A statement that is added without being listed would not be parsed on a real database."""
    known = [" ".join(one.text.split()) for one in listed()]
    for module in modules():
        assert module.__file__ is not None
        for text in texts(Path(module.__file__)):
            flat = " ".join(text.split())
            if flat.startswith(PRINTED) or flat in NOT_SQL:
                continue
            # a block has other statements in it
            assert any(pattern(text).search(one) for one in known), f"{module.__name__}: {flat}"


def test_every_module_that_uses_the_driver_is_looked_at() -> None:
    """A sink or reader that begins to send to Oracle must be named."""
    looked_at = {Path(str(module.__file__)) for module in modules()}
    using = {
        path
        for folder in ("cdc/oracle", "cdc/readers", "sinks")
        for path in (ROOT / folder).rglob("*.py")
        if "probing" not in path.parts and re.search(r"^import oracledb", path.read_text(), re.MULTILINE)
    }
    assert using <= looked_at


def test_no_statement_is_ddl() -> None:
    """Oracle runs DDL when it parses it."""
    ddl = re.compile(r"\s*(create|drop|truncate|grant|revoke|comment|alter\s+(?!session))", re.IGNORECASE)
    assert not [one.name for one in listed() if ddl.match(one.text)]


def test_what_stands_in_braces_is_filled_and_names_are_unique() -> None:
    """A statement with a brace in it would fail for that alone."""
    found = listed()
    assert not [one.name for one in found if re.search(r"\{\w*\}", one.text)]
    assert len({one.name for one in found}) == len(found)


def test_what_sees_the_tables_is_asked_where_they_are() -> None:
    """In a multitenant database the dictionary of the root knows none of them."""
    places = {one.name: one.place for one in listed()}
    assert places["dictionary.COLUMNS"] is places["snapshot CISADM.T"] is Place.TABLES
    assert places["session.LOOK"] is places["contents"] is Place.MINING


def test_only_what_a_login_runs_is_not_parsed() -> None:
    """ALTER SESSION has been run when a session is there; everything else is parsed."""
    assert all(one.login == one.text.lower().startswith("alter session") for one in listed())
