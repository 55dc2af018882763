"""Verdicts from the recorded redo: transactions, and work that was undone in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise

from cdc.assumptions import NotTried, Said, differs, holds, judge
from cdc.readers.logminer.mining.rows import Code
from cdc.readers.logminer.probing.evidence import (
    CONTROL,
    DATA,
    SHOWN,
    ZERO,
    Evidence,
    form,
    named,
    read_right,
)
from cdc.readers.logminer.probing.recording import SCHEMA
from cdc.readers.logminer.probing.workload import OPEN_STEP, STEP

_INVERSE = {1: 2, 2: 1, 3: 3}


def transaction_rows(found: Evidence) -> Said:
    """START first, then one end."""
    wrong = []
    for step in found.recording.steps.values():
        if step.error or not step.xid:
            continue
        codes = [row["OPERATION_CODE"] for row in found.recording.of_step(step.name)]
        ends = codes.count(Code.COMMIT) + codes.count(Code.ROLLBACK)
        if codes[:1] != [Code.START] or codes.count(Code.START) != 1 or ends != (step.name != OPEN_STEP.name):
            wrong.append(f"{step.name}: {codes[:1]}, {codes.count(Code.START)} START, {ends} ends")
    found.all_rows()
    return judge(not wrong, "; ".join(wrong[:SHOWN]) or f"{len(found.recording.steps)} transactions")


def rows_in_order(found: Evidence) -> Said:
    """SCNs never fall."""
    scns = [row["SCN"] for row in found.all_rows()]
    falls = sum(after < before for before, after in pairwise(scns))
    return judge(not falls, f"{len(scns)} rows, {falls} with a lower SCN than the row before")


def rolled_back(found: Evidence) -> Said:
    """A whole rollback comes to nothing."""
    codes = [row["OPERATION_CODE"] for row in found.rows("rolled-back")]
    end = "ROLLBACK" if Code.ROLLBACK in codes else "COMMIT" if Code.COMMIT in codes else "no"
    one = found.replays["rolled-back"]
    undone = sum(bool(row["ROLLBACK"]) for row in found.rows("rolled-back"))
    return judge(not one.problems, "; ".join(map(str, one.problems)) or f"{end} row, {undone} rows undone")


def open_transaction(found: Evidence) -> Said:
    """Uncommitted rows are shown."""
    rows = found.rows(OPEN_STEP.name)
    data = [row for row in rows if row["OPERATION_CODE"] in DATA and row["TABLE_NAME"] != STEP]
    ended = [row for row in rows if row["OPERATION_CODE"] in (Code.COMMIT, Code.ROLLBACK)]
    return judge(bool(data) and not ended, f"{len(data)} data rows, {len(ended)} ends")


def start_inside(found: Evidence) -> Said:
    """What is seen of a transaction whose START was not mined."""
    found.rows("split")
    codes = [row["OPERATION_CODE"] for row in found.split]
    data = [row for row in found.split if row["OPERATION_CODE"] in DATA]
    shown, users = form(found.split) or "no data row", named(data, "USERNAME")
    seen = f"{shown}, {codes.count(Code.COMMIT)} COMMIT; USERNAME {users}"
    return judge(bool(data) and Code.COMMIT in codes, seen)


def user_name(found: Evidence) -> Said:
    """USERNAME of rows of the workload."""
    names = {row["USERNAME"] for row in found.rows("plain")}
    return judge(names <= {SCHEMA, "BRIDGE"}, f"USERNAME {', '.join(map(str, names))}")


def client_id(found: Evidence) -> Said:
    """CLIENT_ID of a transaction after the identifier was changed."""
    found.rows("client-id", "plain")
    seen = {name: found.replays[name].client_id for name in ("plain", "client-id")}
    expected = {name: found.recording.steps[name].client_id for name in seen}
    return judge(seen == expected, f"CLIENT_ID {seen['plain']}, then {seen['client-id']}")


def parent_xid(found: Evidence) -> Said:
    """PXID of serial work."""
    odd = [
        row
        for row in found.all_rows()
        if row["PXID"] and row["PXID"] != row["XID"] and not set(row["PXID"]) <= {"0"}
    ]
    return judge(
        not odd, f"{len(odd)} rows with another PXID: {named(odd, 'OPERATION')}" if odd else "XID itself"
    )


def source_container(found: Evidence) -> Said:
    """SRC_CON_NAME, of transaction control above all."""
    rows = found.all_rows()
    control = {row["SRC_CON_NAME"] for row in rows if row["OPERATION_CODE"] in CONTROL}
    data = {row["SRC_CON_NAME"] for row in rows if row["OPERATION_CODE"] in DATA}
    text = f"START and COMMIT: {', '.join(map(str, control))}; data: {', '.join(map(str, data))}"
    inside = any(name == "PDB" for name in control | data)
    return judge(control == data == {"PDB"} if inside else len(control | data) <= 1, text)


def status_values(found: Evidence) -> Said:
    """STATUS of data rows of tables that the reader captures."""
    names = {name.name for name in found.recording.tables}
    rows = [
        row
        for row in found.all_rows()
        if row["OPERATION_CODE"] in DATA and (row["TABLE_NAME"] in names or row["SEG_OWNER"] == "UNKNOWN")
    ]
    counts = Counter(row["STATUS"] for row in rows)
    text = ", ".join(f"{status}: {count} rows" for status, count in sorted(counts.items()))
    return judge(counts.keys() <= {0, 2, 5}, f"STATUS {text}")


def compensation_row(found: Evidence) -> Said:
    """Each compensation has an earlier row to undo; LOB tables are judged by `undo-lob`."""
    found.rows("savepoint")
    wrong = undone = 0
    live: dict[object, list[int]] = {}
    for row in found.rows("savepoint", "failed-statement"):
        code = row["OPERATION_CODE"]
        if code not in DATA:
            continue
        place = row["DATA_OBJ#"], row["ROW_ID"]
        if not row["ROLLBACK"]:
            live.setdefault(place, []).append(code)
            continue
        undone += 1
        codes = live.get(place, [])
        if codes and codes[-1] == _INVERSE[code]:
            codes.pop()
        else:
            wrong += 1
    if not undone:
        return differs("no row has ROLLBACK = 1")
    return judge(not wrong, f"{undone} compensations, {wrong} without the row they undo")


def compensation_text(found: Evidence) -> Said:
    """What texts compensations have."""
    rows = [row for row in found.all_rows() if row["ROLLBACK"] and row["OPERATION_CODE"] in DATA]
    if not rows:
        raise NotTried("the redo shows no compensation")
    empty = sum(row["SQL_REDO"] is None for row in rows)
    return holds(f"{len(rows)} compensations, {empty} without text")


def zero_row_id(found: Evidence) -> Said:
    """Every ROW_ID is zero or that of a row that was there."""
    odd, zero, real = [], 0, 0
    for row in found.all_rows():
        table, row_id = row["TABLE_NAME"], row["ROW_ID"]
        if row["OPERATION_CODE"] not in DATA or table not in ("CCBP_PLAIN", "CCBP_LOB", "CCBP_TYPED"):
            continue
        if row_id is None or row_id.endswith(ZERO):
            zero += 1
        elif len(row_id) != 18:
            odd.append(row_id)
        else:
            real += 1
    known = {one for name in ("CCBP_LOB", "CCBP_TYPED") for one in found.recording.row_ids.get(name, ())}
    seen = {row["ROW_ID"] for row in found.all_rows()}
    unseen = known - seen
    text = (
        f"{real} real, {zero} zero, {len(odd)} of another form; {len(unseen)} rows' own ROWID not in the redo"
    )
    return judge(not odd and not unseen, text)


def lob_rows_closed(found: Evidence) -> Said:
    """Zero row ids are followed by a real one of the same object."""
    waiting = closed = 0
    closers: Counter[str] = Counter()
    open_objects: set[object] = set()
    for row in found.rows("lob-plain", "lob-undone", "lob-kept", "lob-insert-undone"):
        code, row_id, table = row["OPERATION_CODE"], row["ROW_ID"] or "", row["DATA_OBJ#"]
        if code in CONTROL or row["ROLLBACK"]:
            waiting += len(open_objects)
            open_objects.clear()
        elif not row_id or row_id.endswith(ZERO):
            if code in DATA:
                open_objects.add(table)
        elif table in open_objects:
            open_objects.discard(table)
            closed += 1
            closers[row["OPERATION"]] += 1
    if not closed and not waiting:
        raise NotTried("no row of a table with LOB columns has a zero ROW_ID here")
    text = ", ".join(f"{count} by {name}" for name, count in closers.items())
    return judge(not waiting, f"{closed} closed ({text}), {waiting} not")


def internal_rows(found: Evidence) -> Said:
    """INTERNAL rows of our transactions."""
    rows = [row for row in found.all_rows() if row["OPERATION_CODE"] == Code.INTERNAL]
    if not rows:
        raise NotTried("LogMiner shows no INTERNAL row of the workload")
    texts = sum(row["SQL_REDO"] is not None for row in rows)
    real = sum(bool(row["ROW_ID"]) and not row["ROW_ID"].endswith(ZERO) for row in rows)
    return judge(not texts, f"{len(rows)} rows, {texts} with a text, {real} with a real ROW_ID")


CHECKS: Mapping[str, Callable[[Evidence], Said]] = {
    "transaction-rows": transaction_rows,
    "rows-in-order": rows_in_order,
    "rolled-back": rolled_back,
    "open-transaction": open_transaction,
    "start-inside": start_inside,
    "user-name": user_name,
    "client-id": client_id,
    "parent-xid": parent_xid,
    "source-container": source_container,
    "status-values": status_values,
    "undo": read_right("savepoint", "failed-statement"),
    "undo-lob": read_right("lob-undone", "lob-kept", "lob-insert-undone"),
    "undo-iot": read_right("iot"),
    "compensation-row": compensation_row,
    "compensation-text": compensation_text,
    "zero-row-id": zero_row_id,
    "lob-rows-closed": lob_rows_closed,
    "internal-rows": internal_rows,
}
