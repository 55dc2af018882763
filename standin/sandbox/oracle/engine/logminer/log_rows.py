"""The columns of V$LOGMNR_CONTENTS other than its texts: one function per column.

Only the columns a query names are filled. Constants of a transaction and of a table are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sandbox.oracle import cells
from sandbox.oracle.engine.state.context import Instance
from sandbox.oracle.engine.state.mining_run import MiningRun
from sandbox.oracle.engine.store.journal import Operation, Record
from sandbox.oracle.engine.store.tables import Shape, logged_row_id
from sandbox.oracle.engine.store.transactions import OPEN, Transaction
from sandbox.oracle.engine.values.zones import zone
from sandbox.oracle.interface import Cell

COLUMNS = [
    ("SCN", "n"),
    ("START_SCN", "n"),
    ("COMMIT_SCN", "n"),
    ("TIMESTAMP", "d"),
    ("START_TIMESTAMP", "d"),
    ("COMMIT_TIMESTAMP", "d"),
    ("XIDUSN", "n"),
    ("XIDSLT", "n"),
    ("XIDSQN", "n"),
    ("XID", "r"),
    ("PXIDUSN", "n"),
    ("PXIDSLT", "n"),
    ("PXIDSQN", "n"),
    ("PXID", "r"),
    ("TX_NAME", "256"),
    ("OPERATION", "32"),
    ("OPERATION_CODE", "n"),
    ("ROLLBACK", "n"),
    ("SEG_OWNER", "128"),
    ("SEG_NAME", "256"),
    ("TABLE_NAME", "128"),
    ("SEG_TYPE", "n"),
    ("SEG_TYPE_NAME", "32"),
    ("TABLE_SPACE", "32"),
    ("ROW_ID", "18"),
    ("USERNAME", "384"),
    ("OS_USERNAME", "4000"),
    ("MACHINE_NAME", "4000"),
    ("AUDIT_SESSIONID", "n"),
    ("SESSION#", "n"),
    ("SERIAL#", "n"),
    ("SESSION_INFO", "4000"),
    ("THREAD#", "n"),
    ("SEQUENCE#", "n"),
    ("RBASQN", "n"),
    ("RBABLK", "n"),
    ("RBABYTE", "n"),
    ("DATA_BLK#", "n"),
    ("DATA_OBJ#", "n"),
    ("DATA_OBJV#", "n"),
    ("DATA_OBJD#", "n"),
    ("SQL_REDO", "4000"),
    ("SQL_UNDO", "4000"),
    ("RS_ID", "32"),
    ("SSN", "n"),
    ("CSF", "n"),
    ("INFO", "32"),
    ("STATUS", "n"),
    ("REDO_VALUE", "n"),
    ("UNDO_VALUE", "n"),
    ("CSCN", "n"),
    ("EDITION_NAME", "30"),
    ("CLIENT_ID", "64"),
    ("SRC_CON_NAME", "128"),
    ("SRC_CON_ID", "n"),
    ("SRC_CON_UID", "n"),
    ("SRC_CON_DBID", "n"),
    ("CON_ID", "n"),
]

Getter = Callable[[int, Record], Cell]
_number = cells.encode_number
_ONE, _NONE = _number(1), cells.ZERO
NO_ROW = b"A" * 18
_NAMES = {operation: operation.name.encode() for operation in Operation}
_CODES = {operation: _number(int(operation)) for operation in Operation}
RECORDS_PER_BLOCK = 4
RECORD_BYTES = 112
KEPT_TRANSACTIONS = 20_000
UNKNOWN_SEQUENCE = 0xFFFFFFFF
"""LogMiner that did not see a transaction begin cannot name the sequence in its undo rows."""


class LogContext:
    """What the columns need besides the record."""

    def __init__(self, database: Instance, run: MiningRun) -> None:
        self.database, self.run, self.journal = database, run, database.storage.journal
        self._zone = zone(database.time_zone)
        self._time_from, self._time_until, self._time = 0, 0, b""
        self._seen_from = max(run.start_scn, min(added.log.first_scn for added in run.logs))
        self._known: dict[Shape, bool] = {}
        self.committed_only = run.has("COMMITTED_DATA_ONLY")
        self._logs: dict[int, tuple[int, int, int]] = {}

    def time(self, scn: int) -> bytes:
        """DATE cell of an SCN in the zone of the host."""
        if not self._time_from <= scn < self._time_until:
            self._time_from, self._time_until, seconds = self.journal.time_span(scn)
            local = datetime.fromtimestamp(seconds, self._zone).replace(tzinfo=None)
            self._time = cells.encode_date(local)
        return self._time

    def saw_start(self, transaction: Transaction) -> bool:
        """Was the START record of a transaction in the mined range?"""
        return transaction.start_scn >= self._seen_from

    def is_known(self, shape: Shape) -> bool:
        """Does the online dictionary describe a table as a record knew it?

        It is that of the time when mining was started: rows behind a later DDL are not known to it.
        """
        found = self._known.get(shape)
        if found is None:
            table = self.database.storage.tables[shape.object_id]
            seen = table.defined_scn <= self.run.begun_at
            found = not table.dropped and table.shape.version == shape.version and seen
            self._known[shape] = found
        return found

    def log_place(self, place: int) -> tuple[int, int]:
        """Log sequence of a record and its number in that log."""
        thread = self.journal.records[place].transaction.thread
        start, stop, sequence = self._logs.get(thread, (0, 0, 0))
        if not start <= place < stop:
            log = self.journal.log_of(place)
            start, sequence = log.first_record, log.sequence
            stop = log.end_record if log.end_record is not None else place + 4096
            self._logs[thread] = start, stop, sequence
        return sequence, place - start


def builder(context: LogContext, wanted: frozenset[int]) -> Callable[[int, Record], list[Cell]]:
    """What fills the wanted columns of a row.

    What depends on the table and the operation, and what depends on the transaction, is worked out once
    for each of them; only the rest is worked out for every record.
    """
    names = [(place, name) for place, (name, _) in enumerate(COLUMNS) if place in wanted]
    by_table = _chosen(names, {**_constant_columns(context), **_object_columns(context)})
    by_transaction = _chosen(names, _transaction_columns(context))
    always = _chosen(names, {**_place_columns(context), "SCN": _scn, "ROW_ID": _row_id})
    time_at = next((place for place, name in names if name == "TIMESTAMP"), None)
    ends = _chosen(names, _end_columns(context))
    tables: dict[tuple[Shape | None, Operation, bool], list[Cell]] = {}
    transactions: dict[Transaction, list[tuple[int, Cell]]] = {}
    ddl, undo_patch = Operation.DDL, _chosen(names, _unseen_columns())
    with_ends = (Operation.START, Operation.COMMIT)

    def build(place: int, record: Record) -> list[Cell]:
        key = (record.shape, record.operation, record.undo)
        base = tables.get(key)
        parted = record.shape is not None and bool(record.shape.segments)  # each row has its part's number
        if base is None or parted or record.operation is ddl:
            base = [None] * len(COLUMNS)
            for at, get in by_table:
                base[at] = get(place, record)
            tables[key] = base
        row = base.copy()
        transaction = record.transaction
        cached = transactions.get(transaction)
        if cached is None:
            if len(transactions) > KEPT_TRANSACTIONS:
                transactions.clear()
            cached = transactions[transaction] = [(at, get(place, record)) for at, get in by_transaction]
        for at, cell in cached:
            row[at] = cell
        for at, get in always:
            row[at] = get(place, record)
        if time_at is not None:
            row[time_at] = context.time(record.scn)
        if ends and (context.committed_only or record.operation in with_ends):
            for at, get in ends:
                row[at] = get(place, record)
        if record.undo and undo_patch and not context.saw_start(transaction):
            for at, get in undo_patch:
                row[at] = get(place, record)
        return row

    return build


def _chosen(names: list[tuple[int, str]], getters: dict[str, Getter]) -> list[tuple[int, Getter]]:
    return [(place, getters[name]) for place, name in names if name in getters]


def _scn(place: int, record: Record) -> Cell:
    return _number(record.scn)


def _row_id(place: int, record: Record) -> Cell:
    shape = record.shape
    return logged_row_id(shape, record.row).encode() if shape is not None and record.row >= 0 else NO_ROW


def _constant_columns(context: LogContext) -> dict[str, Getter]:
    zeros = ("SRC_CON_UID", "CSF", "SSN")
    return {
        **dict.fromkeys(zeros, lambda place, record: _NONE),
        "OPERATION": lambda place, record: _NAMES[record.operation],
        "OPERATION_CODE": lambda place, record: _CODES[record.operation],
        "ROLLBACK": lambda place, record: _ONE if record.undo else _NONE,
    }


def _end_columns(context: LogContext) -> dict[str, Getter]:
    def start_scn(place: int, record: Record) -> Cell:
        shown = context.committed_only or record.operation is Operation.START
        return _number(record.transaction.start_scn) if shown else None

    def commit_scn(place: int, record: Record) -> Cell:
        shown = context.committed_only or record.operation is Operation.COMMIT
        scn = record.transaction.scn
        return _number(scn) if shown and scn < OPEN else None

    def thread(place: int, record: Record) -> Cell:
        nowhere = record.operation is Operation.COMMIT and record.transaction.is_empty
        return _NONE if nowhere else _number(record.transaction.thread)

    def start_time(place: int, record: Record) -> Cell:
        return context.time(record.transaction.start_scn) if start_scn(place, record) else None

    def commit_time(place: int, record: Record) -> Cell:
        return context.time(record.transaction.scn) if commit_scn(place, record) else None

    return {
        "CSCN": commit_scn,
        "THREAD#": thread,
        "START_SCN": start_scn,
        "COMMIT_SCN": commit_scn,
        "START_TIMESTAMP": start_time,
        "COMMIT_TIMESTAMP": commit_time,
    }


def _transaction_columns(context: LogContext) -> dict[str, Getter]:
    def xid(place: int, record: Record) -> Cell:
        return record.transaction.xid

    def user(place: int, record: Record) -> Cell:
        if not context.saw_start(record.transaction):
            return b"UNKNOWN" if record.transaction.number % 2 else None
        return record.transaction.user.encode() or None

    def known(name: str) -> Getter:
        def get(place: int, record: Record) -> Cell:
            if not context.saw_start(record.transaction):
                return None
            return str(getattr(record.transaction, name)).encode() or None

        return get

    def number(name: str) -> Getter:
        return lambda place, record: _number(getattr(record.transaction, name))

    containers = context.database.containers

    def source(place: int, record: Record) -> Cell:
        return containers.by_number(record.transaction.container).name.encode()

    return {
        "SRC_CON_NAME": source,
        "SRC_CON_ID": number("container"),
        "SRC_CON_DBID": lambda place, record: _number(
            containers.by_number(record.transaction.container).dbid
        ),
        "CON_ID": lambda place, record: _ONE if containers.root is not None else _NONE,
        "XID": xid,
        "PXID": xid,
        "XIDUSN": number("undo_segment"),
        "XIDSLT": number("slot"),
        "XIDSQN": number("sequence"),
        "PXIDUSN": number("undo_segment"),
        "PXIDSLT": number("slot"),
        "PXIDSQN": number("sequence"),
        "TX_NAME": known("name"),
        "USERNAME": user,
        "CLIENT_ID": known("client_id"),
        "SESSION_INFO": known("session_info"),
        "OS_USERNAME": lambda place, record: b"oracle",
        "SESSION#": number("session_id"),
        "SERIAL#": number("serial"),
        "THREAD#": number("thread"),
        "AUDIT_SESSIONID": number("session_id"),
    }


def _unseen_columns() -> dict[str, Getter]:
    """Undo rows of a transaction whose START was not mined lack the sequence of its XID."""

    def xid(place: int, record: Record) -> Cell:
        return record.transaction.xid[:4] + b"\xff\xff\xff\xff"

    def sequence(place: int, record: Record) -> Cell:
        return _number(UNKNOWN_SEQUENCE)

    return {"XID": xid, "PXID": xid, "XIDSQN": sequence, "PXIDSQN": sequence}


def _object_columns(context: LogContext) -> dict[str, Getter]:
    owners: dict[Shape, tuple[bytes, bytes]] = {}

    def names(record: Record) -> tuple[bytes, bytes] | None:
        shape = record.shape
        if record.operation is Operation.DDL and record.after:
            return record.after[1] or b"", record.after[2] or b""
        if shape is None:
            return None
        found = owners.get(shape)
        if found is None:
            if not context.is_known(shape):
                return b"UNKNOWN", f"OBJ# {shape.segment_id(max(record.row, 0))}".encode()
            found = owners[shape] = shape.owner.encode(), shape.name.encode()
        return found

    def owner(place: int, record: Record) -> Cell:
        found = names(record)
        return found[0] if found else None

    def table(place: int, record: Record) -> Cell:
        found = names(record)
        return found[1] if found else None

    def mismatch(record: Record) -> bool:
        return (
            record.shape is not None
            and record.operation is not Operation.DDL
            and not context.is_known(record.shape)
        )

    def info(place: int, record: Record) -> Cell:
        if record.operation is Operation.DDL:
            return b"USER DDL (PlSql=0 RecDep=0)"
        if not mismatch(record) or record.shape is None:
            return None
        dropped = context.database.storage.tables[record.shape.object_id].dropped
        return b"Dictionary Mismatch" if dropped else b"Dictionary Version Mismatch"

    def number(name: str) -> Getter:
        return lambda place, record: _number(getattr(record.shape, name)) if record.shape else _NONE

    def segment(place: int, record: Record) -> Cell:
        return _number(record.shape.segment_id(max(record.row, 0))) if record.shape else _NONE

    return {
        "SEG_OWNER": owner,
        "SEG_NAME": table,
        "TABLE_NAME": table,
        "SEG_TYPE": lambda place, record: _number(2) if record.shape else _NONE,
        "SEG_TYPE_NAME": lambda place, record: b"TABLE" if record.shape else None,
        "TABLE_SPACE": lambda place, record: b"USERS" if record.shape else None,
        "DATA_OBJ#": segment,
        "DATA_OBJD#": number("data_object_id"),
        "DATA_OBJV#": number("version"),
        "INFO": info,
        "STATUS": lambda place, record: _number(2) if mismatch(record) else _NONE,
    }


def _place_columns(context: LogContext) -> dict[str, Getter]:
    def block(place: int) -> tuple[int, int, int]:
        sequence, number = context.log_place(place)
        return sequence, 2 + number // RECORDS_PER_BLOCK, 16 + number % RECORDS_PER_BLOCK * RECORD_BYTES

    def record_set(place: int, record: Record) -> Cell:
        return b" 0x%06x.%08x.%04x " % block(place)

    return {
        "RS_ID": record_set,
        "SEQUENCE#": lambda place, record: _ONE,
        "RBASQN": lambda place, record: _number(block(place)[0]),
        "RBABLK": lambda place, record: _number(block(place)[1]),
        "RBABYTE": lambda place, record: _number(block(place)[2]),
        "DATA_BLK#": lambda place, record: _number(128 + record.row // 64) if record.row >= 0 else _NONE,
        "REDO_VALUE": lambda place, record: _number(place * 2),
        "UNDO_VALUE": lambda place, record: _number(place * 2 + 1),
    }
