"""Every SQL statement that the product sends to Oracle, as its own modules have them.

A statement without a builder is a constant of its module, and found there; builders are called with the
captured tables of the site. A test fails when a module sends what is not in this list.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import ModuleType

import oracledb

import cdc.oracle
import cdc.readers.logminer
from cdc.assumptions import NotTried, Said, differs, holds
from cdc.changes import SourceTable, TableName
from cdc.config import OracleSystem
from cdc.digests.definition import row_digest
from cdc.digests.sort_key import encode, keyed
from cdc.kinds import EXTENSIONS, resolved
from cdc.oracle.apply_log import apply_log
from cdc.oracle.connect import entering
from cdc.oracle.errors import ora_code, oracle_errors
from cdc.oracle.heartbeat import heartbeat
from cdc.ports import KeyRange, OracleStatements
from cdc.readers.logminer.checks.grants import DICTIONARY_VIEWS, needed_views, sys_grant
from cdc.readers.logminer.checks.preflight import VISIBLE
from cdc.readers.logminer.checks.table_checks import needing
from cdc.readers.logminer.flashback.range_queries import RangeQueries
from cdc.readers.logminer.lobs import reselect
from cdc.readers.logminer.mining.contents import commits_query, contents_query
from cdc.readers.logminer.tables.selected import select_as_of

PACKAGES = (cdc.oracle, cdc.readers.logminer)
"""Rooms whose modules send to Oracle."""
MODULES = (
    "cdc.readers.debezium.oracle",
    "cdc.readers.debezium.engine.failures",
)
"""Others that do, besides those of sinks."""

SQL = re.compile(
    r"\s*(?:select\s.*\bfrom\b|insert\s+into\b|update\s.*\bset\b|delete\s+from\b|merge\s+into\b"
    r"|begin\s.*\bend;|alter\s+session\b)",
    re.IGNORECASE | re.DOTALL,
)
_ENDS = re.compile(r"\{(\w+)\}")
FILLED: Mapping[str, tuple[str, ...]] = {
    "names": (":n0", ":n0, :n1"),
    "option": ("dbms_logmnr.new", "dbms_logmnr.addfile"),
    "view": (),
}
"""What stands in braces in constants; `view` is filled by `statements`."""

_IN_TABLES = (
    "apply_log",
    "captured",
    "dictionary",
    "table_checks",
    "support_checks",
    "unseen_rows",
)
_NO_SESSION, _NOT_SEEN = 1306, frozenset((942, 1031))


class Place(Enum):
    """Where a statement is sent: to the session that mines, or to the one that sees the tables."""

    MINING = "mining"
    TABLES = "tables"


@dataclass(frozen=True)
class Statement:
    """A statement; one of `login` is run at each login, others are only parsed."""

    name: str
    text: str
    place: Place
    login: bool = False


def modules() -> Iterator[ModuleType]:
    """Every module that sends to Oracle."""
    for package in PACKAGES:
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not found.ispkg and ".probing." not in found.name:
                yield importlib.import_module(found.name)
    yield from map(importlib.import_module, (*MODULES, *_rooms_of_sinks()))


def of_sinks() -> list[OracleStatements]:
    """What sinks send."""
    return resolved(one.statements for one in EXTENSIONS.values())


def _rooms_of_sinks() -> dict[str, str]:
    """Modules of sinks, with the name under which their constants are reported."""
    return {module: one.name.replace(" ", "_") for one in of_sinks() for module in one.modules}


def constants() -> Iterator[Statement]:
    """Statements that are constants of their modules, each text once for a place."""
    seen: set[tuple[Place, str]] = set()
    sinks = _rooms_of_sinks()
    for module in modules():
        room = sinks.get(module.__name__, module.__name__.rpartition(".")[2])
        if module.__name__.startswith("cdc.readers.debezium"):
            room = "debezium"
        place = Place.TABLES if room in (*_IN_TABLES, *sinks.values()) else Place.MINING
        for name, value in sorted(vars(module).items()):
            if not isinstance(value, str) or not SQL.match(value) or name.startswith("__"):
                continue
            for number, text in enumerate(_filled(value)):
                numbered = f"{room}.{name}" + (f" {number + 1}" if number else "")
                if (place, text) in seen:
                    continue
                seen.add((place, text))
                login = text.lower().startswith("alter session")
                yield Statement(numbered, text, place, login=login)


def _filled(text: str) -> list[str]:
    braces = list(dict.fromkeys(_ENDS.findall(text)))
    if not braces:
        return [text]
    return [text.replace("{" + braces[0] + "}", value) for value in FILLED[braces[0]]]


def statements(
    settings: OracleSystem, tables: Mapping[TableName, SourceTable], others: Iterable[tuple[str, str]] = ()
) -> list[Statement]:
    """Every statement, those of builders for the captured tables.

    Args:
        settings: the system.
        tables: its captured tables, large columns that rules read included.
        others: label and text of what sinks send to this database (`OracleStatements.of_site`).
    """
    found = list(constants())
    found += [
        Statement(f"visible {view}", VISIBLE.format(view=view), Place.MINING)
        for view in needed_views(settings, root=settings.pdb is not None)
    ]
    found += [
        Statement(f"visible {view}", VISIBLE.format(view=view), Place.TABLES) for view in DICTIONARY_VIEWS
    ]
    found += _of_contents(settings, tables)
    for name, table in sorted(tables.items()):
        found += [Statement(f"{right} {name}", text, Place.TABLES) for right, text in needing(name).items()]
        found.append(Statement(f"snapshot {name}", select_as_of(table), Place.TABLES))
        found += [Statement(f"re-select {name} {label}", text, Place.TABLES) for label, text in _again(table)]
        found += [Statement(f"{label} {name}", text, Place.TABLES) for label, text in _of_ranges(table)]
    log = apply_log(settings)
    if log is not None:
        found += [Statement(f"apply log {n}", text, Place.TABLES) for n, text in enumerate(log.statements, 1)]
    if settings.instances:
        texts = enumerate(heartbeat(settings.user).statements, 1)
        found += [Statement(f"heartbeat {n}", text, Place.MINING) for n, text in texts]
    if settings.pdb is not None:
        found.append(Statement("connect.entering", entering(settings.pdb), Place.TABLES, login=True))
    fixed = (pair for one in of_sinks() for pair in one.fixed())
    found += [Statement(label, text, Place.TABLES) for label, text in (*fixed, *others)]
    return found


def _of_contents(settings: OracleSystem, tables: Mapping[TableName, SourceTable]) -> Iterator[Statement]:
    for shared in (False, True) if settings.pdb else (False,):
        text = contents_query(sorted(tables), settings.pdb, local_undo=not shared)
        yield Statement("contents" + (" with shared undo" if shared else ""), text, Place.MINING)
        own = heartbeat(settings.user).table
        text = commits_query(own, settings.pdb, local_undo=not shared)
        yield Statement("commits" + (" with shared undo" if shared else ""), text, Place.MINING)


def _again(table: SourceTable) -> Iterator[tuple[str, str]]:
    """Re-selects of every size, as of an SCN and as it is now."""
    if not table.key:
        return
    columns = [column for column in table.columns if column.name not in table.key] or list(table.columns)
    key = tuple("1" for _ in table.key)
    for size in reselect.KEYS:
        for branches in reselect.BRANCHES if size <= reselect.SMALL else (1,):
            group = [(1, (key,) * size)] * branches
            yield f"{size} x {branches}", reselect.query(table, columns, group)
    yield "now", reselect.query(table, columns, [(None, (key,))])


def _of_ranges(table: SourceTable) -> Iterator[tuple[str, str]]:
    """What verification sends, of a database whose texts have to be converted, and of one in UTF-8."""
    if not table.key:
        return
    digest = row_digest(table, table.column_names, kind="oracle")
    low = encode(keyed(digest), ["00"] * len(table.key))
    for set_name in ("AL32UTF8", "WE8MSWIN1252"):
        queries = RangeQueries(digest, 1, set_name)
        yield f"sums ({set_name})", queries.sums(KeyRange().cut([low])).text
        yield f"digests ({set_name})", queries.digests(KeyRange(low)).text
    yield "rows by key", queries.rows([low]).text
    yield "key behind", queries.key_behind(KeyRange(low), 1).text
    yield "every key", queries.every_key(KeyRange(low), 2).text


def parsed(connection: oracledb.Connection, statement: Statement, user: str) -> Said:
    """Parse a statement without running it.

    Raises:
        NotTried: an object of it is not seen.
        CcbridgeError: the connection was lost.
    """
    if statement.login:
        return holds("ran at login")
    # a cursor of the cache that was executed before would not be parsed afresh
    kept, connection.stmtcachesize = connection.stmtcachesize, 0
    try:
        with oracle_errors(statement.name):
            return _parsed(connection, statement, user)
    finally:
        if connection.is_healthy():
            connection.stmtcachesize = kept


def _parsed(connection: oracledb.Connection, statement: Statement, user: str) -> Said:
    try:
        with connection.cursor() as cursor:
            cursor.parse(statement.text)
    except oracledb.DatabaseError as exc:
        code = ora_code(exc)
        if not code:
            raise
        if code in _NOT_SEEN:
            views = sorted(set(re.findall(r"\bg?v\$\w+", statement.text.lower())))
            hint = "\n".join(sys_grant(view.upper(), user) for view in views)
            raise NotTried(str(exc).splitlines()[0], hint=hint or "run: ccbridge check") from exc
        if code != _NO_SESSION:  # V$LOGMNR_CONTENTS is known, and asked for outside of a LogMiner session
            return differs(str(exc).splitlines()[0])
    return holds("parsed")
