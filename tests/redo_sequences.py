"""Recorded rows of V$LOGMNR_CONTENTS, given to the reader's assembly: does it reach the recorded outcome?

`python -m tests.redo_sequences FILE.jsonl` judges a file of sequences, one a line (the form is described in
tests/data/README_logminer.md), and prints last how many were right. Each sequence is played in every way
its rows may be kept: with large columns that rules read and that none reads, in memory, and written to
disk after every row.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cdc.changes import TableName
from cdc.errors import CcbridgeError, RedoNotAvailable, RedoUnreadable
from cdc.readers.logminer.mining.logs import LogFile, RedoThread, logs_to_mine
from cdc.readers.logminer.mining.rows import LogRow, transaction_name
from cdc.readers.logminer.transactions.assembly import Assembly, TableOf
from cdc.readers.logminer.transactions.events import Committed
from cdc.readers.logminer.transactions.lob_filter import LobFilter
from cdc.readers.logminer.transactions.open_transactions import SpillStore

Case = dict[str, Any]
DATA = Path(__file__).parent / "data"
FILES = (DATA / "logminer_sequences.jsonl", DATA / "logminer_lob_savepoints.jsonl")
CODES = {"INSERT": 1, "DELETE": 2, "UPDATE": 3, "START": 6, "COMMIT": 7, "INTERNAL": 0, "ROLLBACK": 36}
ENDS = (7, 36)
CHANGES = (1, 2, 3)


class Everything(frozenset[str]):
    """Holds every column."""

    def __contains__(self, name: object) -> bool:
        return True


class EveryTable(dict[TableName, Any]):
    """Every table has large columns that rules read."""

    def __contains__(self, name: object) -> bool:
        return True

    def get(self, name: object, default: object = None) -> Any:
        """All columns, whatever the table."""
        return Everything()


def cases(*files: Path) -> list[Case]:
    """The sequences of some files."""
    lines = (line for file in files or FILES for line in file.read_text(encoding="utf-8").splitlines())
    return [json.loads(line) for line in lines if line.strip()]


def log_row(row: Mapping[str, Any]) -> LogRow:
    """A recorded row; what it does not tell is as in a row without anything special."""
    code = row.get("OPERATION_CODE", CODES.get(row.get("OPERATION", ""), 0))
    return LogRow(
        scn=row.get("SCN", 0),
        operation_code=code,
        xid=row.get("XID") or row.get("XID_TEXT") or "",
        sql_redo=row.get("SQL_REDO", "delete from recorded" if "SQL_REDO" not in row else None),
        csf=row.get("CSF", 0),
        rollback=row.get("ROLLBACK", 0),
        status=row.get("STATUS", 0),
        row_id=row.get("ROW_ID"),
        data_obj=row.get("DATA_OBJ#"),
        owner=row.get("SEG_OWNER"),
        table=row.get("TABLE_NAME"),
        thread=row.get("THREAD#", 1),
        rs_id=row.get("RS_ID"),
        ssn=row.get("SSN", 0),
        username=row.get("USERNAME"),
        info=row.get("INFO"),
        operation=row.get("OPERATION", ""),
        pxid=row.get("PXID"),
        sequence=row.get("SEQUENCE#", 0),
    )


def recorded_table(row: LogRow) -> TableName | None:
    """Every row that names a table is of a captured one; transaction control names none."""
    return TableName(row.owner or "S", row.table or "T")


def run(assembly: Assembly, rows: Sequence[Mapping[str, Any]]) -> list[Committed]:
    """The transactions that commit."""
    events = [assembly.add(log_row(row)) for row in rows]
    return [event for event in events if isinstance(event, Committed)]


def watermark(assembly: Assembly, scn: int) -> int:
    """Where a restart would read from."""
    read_from: int = SpillStore("ccb", None, every_s=0).resume(assembly.open, scn, all_read=True)["read_from"]
    return read_from


# -- the ways rows may be kept -------------------------------------------------------------------


def ways(table_of: TableOf = recorded_table, **options: Any) -> Iterator[tuple[str, Callable[[], Assembly]]]:
    """Assemblies that keep the same rows differently; each is made once."""
    for name, lobs in (("LOBs not read", None), ("LOBs read", LobFilter(EveryTable(), EveryTable()))):
        yield name, partial(Assembly, "recorded", table_of, lobs=lobs, **options)
        with tempfile.TemporaryDirectory() as folder:
            spill = SpillStore("recorded", Path(folder), every_s=0).spill
            yield (
                f"{name}, on disk",
                partial(Assembly, "recorded", table_of, lobs=lobs, max_bytes=0, spill=spill, **options),
            )


# -- judging -------------------------------------------------------------------------------------


def wrong(case: Case) -> list[str]:
    """What is wrong with the outcome of a sequence; empty if it is right."""
    if case["kind"] == "log_files":
        return _log_files(case)
    if case["kind"] == "full_row":
        (row,) = case["rows"]
        return _differs("xid", transaction_name(row["XID"]), _dotted(case["expect"]["xid_parts"]))
    found: list[str] = []
    for name, assembly in ways(_table_of(case)):
        try:
            found += [f"{name}: {one}" for one in _outcome(case, assembly())]
        except CcbridgeError as exc:
            found.append(f"{name}: stops: {exc}")
    return found


def judged(case: Case) -> list[str]:
    """As `wrong`; a sequence that makes the reader crash is wrong too, and does not end the run."""
    try:
        return wrong(case)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the other sequences count
        return [f"crashed: {type(exc).__name__}: {exc}"]


def _table_of(case: Case) -> TableOf:
    named = case["expect"].get("table")
    if named is None:
        return recorded_table
    needed = TableName(*named.split("."))
    return lambda row: needed if row.owner == needed.schema else None


def _outcome(case: Case, assembly: Assembly) -> list[str]:
    expect = case["expect"]
    if "must_stop_at_row" in expect:
        return _stops(assembly, case["rows"], expect["must_stop_at_row"])
    if "checkpoints" in expect:
        points = [
            [row["SCN"], watermark(assembly, row["SCN"])]
            for row in case["rows"]
            if isinstance(assembly.add(log_row(row)), Committed)
        ]
        return _differs("checkpoints", points, expect["checkpoints"])
    whole = not {"emitted", "open_after", "never_committed", "commit_order"} & set(expect)
    committed = run(assembly, [*_texts(case), *(_ends(case) if whole else ())])
    return [*_transactions(expect, committed, assembly), *_changes(expect, committed)]


def _texts(case: Case) -> list[Mapping[str, Any]]:
    """Rows of which recorded texts were cut off count by their places alone."""
    if case["kind"] != "partial_rollback":
        return list(case["rows"])
    return [{**row, "SQL_REDO": "recorded"} for row in case["rows"]]


def _ends(case: Case) -> Iterator[Mapping[str, Any]]:
    """A COMMIT of every transaction that has no end."""
    rows = case["rows"]
    ended = {row.get("XID") for row in rows if log_row(row).operation_code in ENDS}
    last = case["expect"].get("commit_scn") or max(row.get("SCN", 0) for row in rows)
    for xid in dict.fromkeys(row.get("XID") for row in rows):
        if xid not in ended:
            yield {"SCN": last, "OPERATION_CODE": 7, "XID": xid}


def _stops(assembly: Assembly, rows: Sequence[Mapping[str, Any]], at: int) -> list[str]:
    for index, row in enumerate(rows):
        try:
            assembly.add(log_row(row))
        except (RedoUnreadable, RedoNotAvailable):
            return _differs("stopped at row", index, at)
    return ["the row that must stop did not"]


def _transactions(expect: Mapping[str, Any], committed: list[Committed], assembly: Assembly) -> list[str]:
    names = [one.xid for one in committed]
    left = [one.xid for one in assembly.open]
    found: list[str] = []
    if "emitted" in expect:
        emitted = [[one.xid, sum(row.operation_code in CHANGES for _, row in one.rows)] for one in committed]
        found += _differs("emitted", emitted, expect["emitted"])
    if "commit_order" in expect:
        found += _differs("commit order", names, expect["commit_order"])
    for key in ("open_after", "never_committed"):
        if key in expect and "PRIVATE" not in expect.get("threads", {}).values():
            found += _differs(key, left, expect[key])
        elif key in expect:  # recorded of a reader that drops private threads; what they do is user work
            found += [f"{xid} is lost" for xid in expect[key] if xid not in left]
    if "oldest_open_scn" in expect:
        found += _differs("oldest open", assembly.open[0].start_scn, expect["oldest_open_scn"])
    found += [f"{xid} is still open" for xid in expect.get("rolled_back", ()) if xid in left]
    if "xid_parts" in expect:
        found += _differs("xid", committed[0].name if committed else None, _dotted(expect["xid_parts"]))
    if "commit_scn" in expect and committed:
        found += _differs("commit SCN", committed[0].scn, expect["commit_scn"])
    if expect.get("survivors_count") is not None and assembly.counts["unmatched rolled back rows"]:
        found.append("a compensation undid nothing")
    return found


def _changes(expect: Mapping[str, Any], committed: list[Committed]) -> list[str]:
    rows = [row for one in committed for _, row in one.rows if row.operation_code in (*CHANGES, 255)]
    found = [f"refused: {row.sql_redo}" for row in rows if row.operation_code == 255]
    if "survivors_count" in expect:
        found += _differs("rows", len(rows), expect["survivors_count"])
    if expect.get("survivors") is not None:
        shown = [{name: _recorded(row, name) for name in _SHOWN} for row in rows]
        found += _survivors(shown, expect["survivors"])
    places = {(row.rs_id or "").strip() for row in rows}
    found += [f"{one} was undone and is there" for one in expect.get("must_be_absent", ()) if one in places]
    found += [f"{one} is lost" for one in expect.get("must_be_present", ()) if one not in places]
    if "sql_redo" in expect:
        found += _differs("text", [row.sql_redo for row in rows], [expect["sql_redo"]])
    if "joined_length" in expect:
        found += _differs("length", [len(row.sql_redo or "") for row in rows], [expect["joined_length"]])
    if isinstance(expect.get("events"), int):
        found += _differs("rows", len(rows), expect["events"])
    elif "commit_order" in expect:
        events = [[one.xid, row.sql_redo] for one in committed for _, row in one.rows]
        found += _differs("events", events, expect["events"])
    elif "events" in expect:  # their values are the matter of other tests
        operations = [row.operation_code for row in rows]
        found += _differs("operations", operations, [CODES[one["operation"]] for one in expect["events"]])
    return found


_SHOWN = {
    "OPERATION_CODE": "operation_code",
    "ROW_ID": "row_id",
    "RS_ID": "rs_id",
    "SSN": "ssn",
    "SCN": "scn",
    "XID": "xid",
    "SQL_REDO": "sql_redo",
    "TABLE_NAME": "table",
    "SEG_OWNER": "owner",
}


def _recorded(row: LogRow, name: str) -> Any:
    value = getattr(row, _SHOWN[name])
    return value.strip() if isinstance(value, str) and name == "RS_ID" else value


def _survivors(rows: list[dict[str, Any]], expected: list[Mapping[str, Any]]) -> list[str]:
    """Compares what is recorded of each row that is left."""
    found = _differs("rows left", len(rows), len(expected))
    for index, (row, needed) in enumerate(zip(rows, expected, strict=False)):
        for name, value in needed.items():
            if name in _SHOWN:
                trimmed = value.strip() if name == "RS_ID" else value
                found += _differs(f"row {index}, {name}", row[name], trimmed)
    return found


def _log_files(case: Case) -> list[str]:
    expect = case["expect"]
    threads = [
        RedoThread(one["thread"], one["status"] == "OPEN", one["last_flushed_scn"], one.get("enabled_scn"))
        for one in expect["threads"]
    ]
    logs = [
        LogFile(
            one["name"],
            one["thread"],
            one["sequence"],
            one["first_scn"],
            one["next_scn"],
            one["type"] == "archive",
        )
        for one in case["rows"]
    ]
    found = logs_to_mine(expect["start_scn"], logs, threads)
    return _differs("complete", not found.gaps, expect["complete"])


def _differs(what: str, found: object, expected: object) -> list[str]:
    return [] if found == expected else [f"{what}: found {found!r}, expected {expected!r}"]


def _dotted(parts: list[int]) -> str:
    return ".".join(map(str, parts))


def main(arguments: list[str]) -> int:
    """Judge the files named, those of the project without one; the exit code says whether all were right."""
    right = bad = 0
    for case in cases(*map(Path, arguments)):
        failures = judged(case)
        right, bad = right + (not failures), bad + bool(failures)
        if failures:
            sys.stdout.write(f"{case.get('id', '?')}: {'; '.join(failures)}\n")
    sys.stdout.write(f"redo sequences: {right} right, {bad} wrong\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
