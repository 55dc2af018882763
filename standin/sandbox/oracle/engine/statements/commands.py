"""Statements that are neither query nor DML: transaction control, session settings, definitions, rights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sandbox.oracle.engine.plan.prepare import Prepared
from sandbox.oracle.engine.sql.syntax import (
    AlterTable,
    Command,
    CreateIndex,
    CreateTable,
    Grant,
    Supplemental,
)
from sandbox.oracle.engine.state import containers
from sandbox.oracle.engine.state.catalog import Sequence
from sandbox.oracle.engine.state.context import Session
from sandbox.oracle.engine.statements import accounts, clusters
from sandbox.oracle.engine.statements.alter_table import alter_table
from sandbox.oracle.engine.statements.create_table import create_index, create_table
from sandbox.oracle.engine.statements.ddl_records import owned_table, write_ddl
from sandbox.oracle.engine.statements.empty_tables import drop_table, truncate
from sandbox.oracle.engine.statements.table_keys import relog
from sandbox.oracle.engine.store.storage import within
from sandbox.oracle.engine.store.tables import Table
from sandbox.oracle.engine.values.zones import offset_minutes, offset_text, zone
from sandbox.oracle.interface import OracleFault


def run(session: Session, prepared: Prepared, text: str) -> None:
    """Run such a statement."""
    statement, planner = prepared.statement, prepared.planner
    if isinstance(statement, Command):
        action = _COMMANDS.get(statement.word)
        if action is None:
            raise OracleFault(900, f"invalid SQL statement: {statement.word} is not simulated")
        action(session, statement, text)
        return
    session.commit()
    if planner is None:
        raise OracleFault(900, "invalid SQL statement")
    if isinstance(statement, CreateTable):
        plan = planner.plan(statement.query, None) if statement.query is not None else None
        create_table(session, statement, plan, text)
    elif isinstance(statement, AlterTable):
        alter_table(session, statement, planner, text)
    elif isinstance(statement, CreateIndex):
        create_index(session, statement, text)
    elif isinstance(statement, Grant):
        accounts.grant(session, statement)
    elif isinstance(statement, Supplemental):
        _database_supplemental(session, statement)


def _commit(session: Session, command: Command, text: str) -> None:
    session.commit()


def _rollback(session: Session, command: Command, text: str) -> None:
    session.rollback()


def _savepoint(session: Session, command: Command, text: str) -> None:
    session.savepoint(command.names[0] or "")


def _rollback_to(session: Session, command: Command, text: str) -> None:
    session.rollback_to(command.names[0] or "")


def _set_transaction(session: Session, command: Command, text: str) -> None:
    if session.transaction is not None:
        raise OracleFault(1453, "SET TRANSACTION must be first statement of transaction")
    if command.options.get("access") == "read only" or command.options.get("isolation") == "serializable":
        raise OracleFault(900, "only read committed transactions are simulated")
    session.transaction_name = command.options.get("name", "")


def _alter_session(session: Session, command: Command, text: str) -> None:
    for name, value in command.options.items():
        if name == "CURRENT_SCHEMA":
            session.set_current_schema(value)
        elif name == "TIME_ZONE":
            if value.upper() in ("LOCAL", "DBTIMEZONE"):
                value = session.database.time_zone
            zone(value)
            session.time_zone = value if ":" not in value else _signed(value)
        elif name == "CONTAINER":
            containers.enter(session, value)
        elif name == "ROW ARCHIVAL VISIBILITY":
            session.shows_archived = value == "ALL"
        elif name in session.nls:
            session.nls[name] = value
        elif name == "DDL_LOCK_TIMEOUT" and value.isdigit():
            session.ddl_lock_timeout_s = int(value)
        elif name not in _WITHOUT_EFFECT and not (name == "ISOLATION_LEVEL" and value == "READ COMMITTED"):
            raise OracleFault(2248, "invalid option for ALTER SESSION")


def _signed(value: str) -> str:
    return offset_text(offset_minutes(value, 0))


_WITHOUT_EFFECT = frozenset(
    {
        "OPTIMIZER_MODE",
        "STATISTICS_LEVEL",
        "SQL_TRACE",
        "EVENTS",
    }
    | {"RESUMABLE_TIMEOUT", "CURSOR_SHARING", "PLSQL_CODE_TYPE", "_ORACLE_SCRIPT"}
)


_WEAK_LOCKS = ("ROW SHARE", "SHARE UPDATE", "ROW EXCLUSIVE")


def _lock_table(session: Session, command: Command, text: str) -> None:
    owner, name = command.names
    found = session.find(owner, name or "", "SELECT")
    if not isinstance(found, Table):
        raise OracleFault(942, "table or view does not exist")
    mode = command.options["mode"]
    if mode not in (*_WEAK_LOCKS, "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE"):
        raise OracleFault(1737, "valid modes: [ROW] SHARE, [[SHARE] ROW] EXCLUSIVE, SHARE UPDATE")
    transaction = session.begin()
    if mode in _WEAK_LOCKS:
        return
    check = within(command.options.get("wait", ""), session.check)
    with session.storage.lock:  # a stronger mode waits for everybody who changes the table
        for number, version in list(found.rows.items()):
            other = version.transaction
            if other.is_open and other is not transaction:
                if command.options.get("nowait"):
                    raise OracleFault(
                        54, "resource busy and acquire with NOWAIT specified or timeout expired"
                    )
                session.storage.wait(transaction, other, check)
            found.locks[number] = transaction
            transaction.locked.append((found, number))


def _drop(session: Session, command: Command, text: str) -> None:
    session.commit()
    kind = command.word.removeprefix("DROP ")
    owner, name = command.names[0], command.names[1] or ""
    catalog = session.catalog
    key = (owner or session.schema, name)
    if kind == "TABLE":
        drop_table(session, owner, name, text)
    elif kind == "SEQUENCE":
        if catalog.sequences.pop(key, None) is None:
            raise OracleFault(2289, "sequence does not exist")
    elif kind == "SYNONYM":
        if catalog.synonyms.pop(key, None) is None and catalog.synonyms.pop(("PUBLIC", name), None) is None:
            raise OracleFault(1434, "private synonym to be dropped does not exist")
    elif kind == "INDEX":
        _drop_index(session, key[0], name)
    elif kind in ("USER", "ROLE"):
        owns = any(owner == name for owner, _ in (*catalog.tables, *catalog.sequences))
        if kind == "USER" and owns and "CASCADE" not in command.options:
            raise OracleFault(1922, f"CASCADE must be specified to drop '{name}'")
        accounts.drop_user(session, name)
        write_ddl(session, text, None, "", name)
    else:
        raise OracleFault(950, "invalid DROP option")
    catalog.changed()


def _drop_index(session: Session, owner: str, name: str) -> None:
    for table in session.catalog.tables.values():
        for index in table.indexes:
            if index.name == name and index.owner == owner:
                if index.constraint:
                    raise OracleFault(2429, "cannot drop index used for enforcement of unique/primary key")
                table.indexes.remove(index)
                return
    raise OracleFault(1418, "specified index does not exist")


def _truncate(session: Session, command: Command, text: str) -> None:
    session.commit()
    cascade = "CASCADE" in command.options
    truncate(session, command.names[0], command.names[1] or "", text, cascade=cascade)


def _truncate_cluster(session: Session, command: Command, text: str) -> None:
    session.commit()
    clusters.truncate_cluster(session, command.names[0], command.names[1] or "", text)


def _create_cluster(session: Session, command: Command, text: str) -> None:
    session.commit()
    clusters.create_cluster(session, command.names[0], command.names[1] or "", text)


def _drop_cluster(session: Session, command: Command, text: str) -> None:
    session.commit()
    tables = "INCLUDING TABLES" in command.options
    clusters.drop_cluster(session, command.names[0], command.names[1] or "", text, tables=tables)


def _comment(session: Session, command: Command, text: str) -> None:
    session.commit()
    kind, *parts = [name or "" for name in command.names]
    column = parts.pop() if kind == "COLUMN" else ""
    owner = parts[-2] if len(parts) > 1 else None
    table = owned_table(session, owner, parts[-1], "ALTER")
    table.comments[column] = command.options["text"]


def _create_sequence(session: Session, command: Command, text: str) -> None:
    session.commit()
    owner, name = command.names[0] or session.schema, command.names[1] or ""
    session.users.require(session.user, "CREATE SEQUENCE" if owner == session.user else "CREATE ANY TABLE")
    catalog = session.catalog
    if (owner, name) in catalog.sequences or (owner, name) in catalog.tables:
        raise OracleFault(955, "name is already used by an existing object")
    step = int(command.options.get("increment", "1"))
    if not step:
        raise OracleFault(4002, "INCREMENT must be a non-zero integer")
    start = command.options.get("start") or command.options.get("minvalue" if step > 0 else "maxvalue", "1")
    made = Sequence(owner, name, catalog.new_object_id(), int(start), step, session.database.clock())
    _bound(made, command.options)
    catalog.sequences[owner, name] = made
    catalog.changed()


def _create_synonym(session: Session, command: Command, text: str) -> None:
    session.commit()
    public = "PUBLIC" in text.upper().split("SYNONYM")[0]
    owner = "PUBLIC" if public else command.names[0] or session.schema
    session.users.require(session.user, "CREATE PUBLIC SYNONYM" if public else "CREATE SYNONYM")
    target = (command.names[2] or session.schema, command.names[3] or "")
    session.catalog.synonyms[owner, command.names[1] or ""] = target
    session.catalog.changed()


def _alter_system(session: Session, command: Command, text: str) -> None:
    session.users.require(session.user, "ALTER SYSTEM")
    words = command.names[0] or ""
    if not _SYSTEM.fullmatch(words):
        raise OracleFault(2065, "illegal option for ALTER SYSTEM")
    if words.startswith(("SWITCH", "ARCHIVE", "CHECKPOINT")):
        containers.require_root(session)
    if words.startswith("SWITCH LOGFILE"):
        session.database.switch_log(session.thread)
    elif words.startswith("ARCHIVE LOG CURRENT"):
        for thread in session.storage.journal.threads.values():
            if thread.is_open:
                session.database.switch_log(thread.number)
    elif words.startswith("KILL SESSION"):
        number = int(words.split("'")[1].split(",")[0])
        session.database.kill(number)
    elif words.startswith("SET "):
        _set_parameter(session, words.removeprefix("SET "))


_SYSTEM = re.compile(
    r"SWITCH LOGFILE|ARCHIVE LOG CURRENT|CHECKPOINT|FLUSH (?:SHARED_POOL|BUFFER_CACHE)"
    r"|KILL SESSION '\d+\s*,\s*\d+(?:\s*,\s*@\d+)?'(?: IMMEDIATE)?"
    r"|SET \"?[\w$]+\"?\s*=\s*(?:'[^']*'|[\w.+-]+)(?: SCOPE\s*=\s*(?:MEMORY|SPFILE|BOTH)| SID\s*=\s*'\*')*"
)
"""The forms of ALTER SYSTEM there are; where a parameter is kept does not matter."""
_DATABASE = re.compile(r"(?:NO )?FORCE LOGGING|(?:NO)?ARCHIVELOG|MOUNT|OPEN(?: READ WRITE)?")


def _set_parameter(session: Session, words: str) -> None:
    """Formats are a container's own, and hold for sessions that enter it from then on."""
    name, _, value = words.partition("=")
    name, value = name.strip().strip('"'), value.split()[0].strip("'") if value else ""
    if name.startswith("NLS_"):
        session.container.nls[name] = value
    else:
        session.database.parameters[name.lower()] = value


def _alter_database(session: Session, command: Command, text: str) -> None:
    session.users.require(session.user, "ALTER DATABASE")
    containers.require_root(session)
    words = command.names[0] or ""
    if words in ("FORCE LOGGING", "NO FORCE LOGGING"):
        session.database.force_logging = words == "FORCE LOGGING"
    elif words in ("ARCHIVELOG", "NOARCHIVELOG"):
        session.database.archive_log = words == "ARCHIVELOG"
    elif not _DATABASE.fullmatch(words):
        raise OracleFault(2231, "missing or invalid option to ALTER DATABASE")


def _database_supplemental(session: Session, change: Supplemental) -> None:
    """ALTER DATABASE .. SUPPLEMENTAL LOG: in a pluggable database levels are added to those of the root."""
    session.users.require(session.user, "ALTER DATABASE")
    level = {"PRIMARY": "PRIMARY KEY"}.get(change.level, change.level)
    levels, containers = session.container.supplemental, session.database.containers
    if session.container is containers.root or containers.root is None:
        changed = list(containers)
    elif not containers.root.supplemental:
        raise OracleFault(31541, "Supplemental logging is not enabled in CDB$ROOT.")
    else:
        changed = [session.container]
    if change.add:
        levels.add(level)
    elif level not in levels:
        raise OracleFault(32587, "Cannot drop nonexistent supplemental log data")
    elif level == "MIN" and len(levels) > 1:
        raise OracleFault(32589, "unable to drop minimal supplemental logging")
    else:
        levels.remove(level)
    with session.storage.lock:
        for container in changed:
            for table in container.catalog.tables.values():
                relog(table, containers.supplemental(container))


def _create_pdb(session: Session, command: Command, text: str) -> None:
    session.commit()
    name, administrator, password = [each or "" for each in command.names]
    containers.create_pdb(session, name, administrator, password)


def _nothing(session: Session, command: Command, text: str) -> None:
    """For what changes nothing that the stand-in has."""


def _alter_sequence(session: Session, command: Command, text: str) -> None:
    session.commit()
    owner, name = command.names[0] or session.schema, command.names[1] or ""
    found = session.catalog.sequences.get((owner, name))
    if found is None:
        raise OracleFault(2289, "sequence does not exist")
    found.step = int(command.options.get("increment", found.step))
    _bound(found, command.options)


def _bound(sequence: Sequence, options: Mapping[str, str]) -> None:
    if "maxvalue" in options:
        sequence.highest = int(options["maxvalue"])
    if "minvalue" in options:
        sequence.lowest = int(options["minvalue"])
    if (
        not (sequence.lowest or sequence.next_value)
        <= sequence.next_value
        <= (sequence.highest or sequence.next_value)
    ):
        raise OracleFault(
            4006 if sequence.next_value < (sequence.lowest or 0) else 4008, "START WITH out of range"
        )


def _alter_index(session: Session, command: Command, text: str) -> None:
    session.commit()
    owner, name = command.names[0] or session.schema, command.names[1]
    if not any(
        (index.owner, index.name) == (owner, name)
        for table in session.catalog.tables.values()
        for index in table.indexes
    ):
        raise OracleFault(1418, "specified index does not exist")


def _analyze(session: Session, command: Command, text: str) -> None:
    session.commit()
    session.find(command.names[0], command.names[1] or "", "SELECT")


_COMMANDS: dict[str, Callable[[Session, Command, str], None]] = {
    "COMMIT": _commit,
    "ROLLBACK": _rollback,
    "ROLLBACK TO": _rollback_to,
    "SAVEPOINT": _savepoint,
    "SET TRANSACTION": _set_transaction,
    "ALTER SESSION": _alter_session,
    "LOCK TABLE": _lock_table,
    "TRUNCATE": _truncate,
    "TRUNCATE CLUSTER": _truncate_cluster,
    "CREATE CLUSTER": _create_cluster,
    "DROP CLUSTER": _drop_cluster,
    "COMMENT": _comment,
    "CREATE SEQUENCE": _create_sequence,
    "CREATE SYNONYM": _create_synonym,
    "CREATE PLUGGABLE DATABASE": _create_pdb,
    "CREATE USER": accounts.create_user,
    "CREATE ROLE": accounts.create_role,
    "ALTER USER": accounts.alter_user,
    "ALTER SYSTEM": _alter_system,
    "ALTER DATABASE": _alter_database,
    "NOTHING": _nothing,
    "ALTER SEQUENCE": _alter_sequence,
    "ALTER INDEX": _alter_index,
    "ANALYZE": _analyze,
    **{f"DROP {kind}": _drop for kind in ("TABLE", "SEQUENCE", "SYNONYM", "INDEX", "USER", "ROLE")},
}
