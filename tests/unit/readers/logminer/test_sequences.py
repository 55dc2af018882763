"""Recorded orders of V$LOGMNR_CONTENTS rows and log lists; sources in tests/data/README_logminer.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cdc.changes import TableName
from cdc.errors import RedoUnreadable
from cdc.readers.logminer.mining.rows import Code, LogRow
from cdc.readers.logminer.transactions.assembly import Assembly
from cdc.readers.logminer.transactions.events import Committed
from tests.redo_sequences import DATA, Case, cases, judged, log_row, main, run

SEQUENCES: dict[str, Case] = {case["id"]: case for case in cases()}
TABLE = TableName("S", "T")


def everything(_row: LogRow) -> TableName:
    return TABLE


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in SEQUENCES.items()])
def test_recorded_rows_come_to_the_recorded_outcome(case: Case) -> None:
    """Undone rows, long texts, interleaved work, holes, LOBs, log lists: each as it was recorded."""
    assert judged(case) == []


def test_sequences_of_a_file_are_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command tells what is wrong with which sequence, and fails if any is."""
    assert main([str(DATA / "logminer_lob_savepoints.jsonl")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "redo sequences: 29 right, 0 wrong"
    line = (DATA / "logminer_lob_savepoints.jsonl").read_text(encoding="utf-8").splitlines()[0]
    (tmp_path / "bad.jsonl").write_text(line.replace('"survivors": []', '"survivors": [{"SSN": 1}]'))
    assert main([str(tmp_path / "bad.jsonl")]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("N1960-01: LOBs not read: rows left: found 0, expected 1")
    assert said[-1] == "redo sequences: 0 right, 1 wrong"


@pytest.mark.parametrize(
    ("rows", "marked"),
    [
        ([(1, 0)], True),
        ([(1, 0), (2, 1)], False),
        ([(1, 0), (3, 0), (3, 1)], True),
        ([(1, 0), (2, 0), (1, 1)], True),
        ([(1, 0), (1, 0), (2, 1)], True),
        ([(2, 0)], False),
    ],
)
def test_a_row_of_the_apply_log_that_stays_marks_its_transaction(
    rows: list[tuple[int, int]], *, marked: bool
) -> None:
    """Only an insert that was not undone does; other work on the log, undone or not, changes nothing."""
    assembly = Assembly(
        "ccb", lambda row: TABLE if row.table == "T" else None, apply_log=TableName("S", "LOG")
    )
    log = [LogRow(3, code, "aa", "t", rollback=undo, owner="S", table="LOG") for code, undo in rows]
    for row in (LogRow(1, 6, "aa"), LogRow(2, 1, "aa", "t", row_id="AAB", owner="S", table="T"), *log):
        assembly.add(row)
    event = assembly.add(LogRow(9, 7, "aa"))
    assert isinstance(event, Committed)
    assert event.marked is marked


@pytest.mark.parametrize("operations", [("XML_BEGIN", "XML_WRITE", "XML_END"), ("LOB_WRITE",)])
def test_large_objects_that_no_rule_reads_are_counted(operations: tuple[str, ...]) -> None:
    """The row itself comes, the rows of its LOBs are left out."""
    case = SEQUENCES["Q014" if "XML_BEGIN" in operations else "Q032"]
    assembly = Assembly("ccb", everything)
    run(assembly, case["rows"])
    pieces = [row for row in case["rows"] if row["OPERATION_CODE"] not in (1, 2, 3, 6, 7)]
    assert assembly.counts["LOB rows left out"] == len(pieces)


def test_rows_of_an_unknown_sequence_join_the_open_transaction() -> None:
    """A compensation row whose transaction id ends in ffffffff undoes the right row."""
    assembly = Assembly("ccb", everything)
    known, unknown = "0e001c0012345678", "0e001c00ffffffff"
    rows: list[dict[str, Any]] = [
        {"SCN": 1, "OPERATION_CODE": Code.START, "XID": known},
        {"SCN": 2, "OPERATION_CODE": Code.INSERT, "XID": known, "ROW_ID": "AAB"},
        {"SCN": 3, "OPERATION_CODE": Code.DELETE, "XID": unknown, "ROW_ID": "AAB", "ROLLBACK": 1},
        {"SCN": 4, "OPERATION_CODE": Code.COMMIT, "XID": known},
    ]
    assert run(assembly, rows) == []
    assert assembly.open == ()


def test_parallel_children_commit_with_their_parent() -> None:
    """Rows of parallel DML have own ids and belong to the transaction named by PXID."""
    parent, child = "0100020003000000", "0500060007000000"
    rows: list[dict[str, Any]] = [
        {"SCN": 1, "OPERATION_CODE": 6, "XID": parent, "PXID": parent},
        {"SCN": 2, "OPERATION_CODE": 1, "XID": parent, "PXID": parent},
        {"SCN": 3, "OPERATION_CODE": 6, "XID": child, "PXID": parent},
        {"SCN": 3, "OPERATION_CODE": 1, "XID": child, "PXID": parent},
        {"SCN": 4, "OPERATION_CODE": 7, "XID": child, "PXID": parent},
        {"SCN": 5, "OPERATION_CODE": 7, "XID": parent, "PXID": parent},
    ]
    (committed,) = run(Assembly("ccb", everything), rows)
    assert (committed.scn, len(committed.rows)) == (5, 2)


FORWARD: dict[str, Any] = {
    "SCN": 2,
    "OPERATION_CODE": 1,
    "ROW_ID": "AAB",
    "SEG_OWNER": "S",
    "TABLE_NAME": "T",
}
UNSUPPORTED: dict[str, Any] = {**FORWARD, "SCN": 3, "OPERATION_CODE": 255, "ROW_ID": "AAC", "SQL_REDO": None}
UNREADABLE: dict[str, tuple[list[dict[str, Any]], str]] = {
    "compensation without partner": (
        [{**FORWARD, "SCN": 3, "OPERATION_CODE": 2, "ROW_ID": "AAC", "ROLLBACK": 1}],
        "undoes nothing",
    ),
    "continuation that never came": (
        [{**FORWARD, "SCN": 3, "CSF": 1, "RS_ID": "1"}, {**FORWARD, "SCN": 4, "RS_ID": "2"}],
        "continuation",
    ),
    "unsupported": ([UNSUPPORTED], "does not support"),
    "unsupported compensation": ([{**UNSUPPORTED, "ROLLBACK": 1}], "does not support"),
    "unknown operation": (
        [{**FORWARD, "SCN": 3, "OPERATION_CODE": 99, "OPERATION": "NEW"}],
        r"unknown operation 99 \(NEW\)",
    ),
    "row without text": ([{**FORWARD, "SCN": 3, "SQL_REDO": None}], "without SQL_REDO"),
    "row that is not guaranteed": ([{**FORWARD, "SCN": 3, "STATUS": 3}], "STATUS 3"),
}


def transaction(*rows: dict[str, Any], end: int = 7) -> list[dict[str, Any]]:
    """The rows between a START and an end."""
    made = [
        {"SCN": 1, "OPERATION_CODE": 6},
        FORWARD,
        *rows,
        {"SCN": 9, "OPERATION_CODE": end},
    ]
    return [{**row, "XID": "aa"} for row in made]


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_row_that_cannot_be_read_is_kept_until_its_transaction_commits(kind: str) -> None:
    """It is named, never skipped: who makes the batch sees why; in a table of others it does not matter."""
    rows, reason = UNREADABLE[kind]
    (committed,) = run(Assembly("ccb", everything), transaction(*rows))
    refused = [row for _, row in committed.rows if row.operation_code == Code.UNSUPPORTED]
    assert len(refused) == 1
    assert re.search(reason, refused[0].sql_redo or "")
    assert run(Assembly("ccb", lambda _row: None), transaction(*rows)) == []


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_row_that_cannot_be_read_does_not_matter_where_nothing_is_committed(kind: str) -> None:
    """A batch that met such a row and rolled back changed nothing."""
    rows, _ = UNREADABLE[kind]
    assert run(Assembly("ccb", everything), transaction(*rows, end=36)) == []


@pytest.mark.parametrize("compensation", [2, 3, 255])
def test_an_unsupported_row_that_is_undone_does_not_matter(compensation: int) -> None:
    """Whatever LogMiner calls its compensation: they lie in the same place."""
    undo = {**UNSUPPORTED, "SCN": 4, "OPERATION_CODE": compensation, "ROLLBACK": 1}
    (committed,) = run(Assembly("ccb", everything), transaction(UNSUPPORTED, undo))
    assert [row.operation_code for _, row in committed.rows] == [1]


def test_a_compensation_needs_no_text() -> None:
    """What it undoes is reported by its place; LogMiner may give it no SQL_REDO, or not know it at all."""
    for code in (2, 255):
        undo = {**FORWARD, "SCN": 3, "OPERATION_CODE": code, "ROLLBACK": 1, "SQL_REDO": None}
        other = {**FORWARD, "SCN": 4, "ROW_ID": "AAD"}
        (committed,) = run(Assembly("ccb", everything), transaction(undo, other))
        assert [row.row_id for _, row in committed.rows] == ["AAD"]


def test_direct_inserts_are_inserts() -> None:
    """A direct-path insert in a logged table is named by its OPERATION, whatever its code."""
    rows: list[dict[str, Any]] = [
        {"SCN": 1, "OPERATION_CODE": 8, "OPERATION": "DIRECT INSERT", "XID": "aa", "SQL_REDO": "insert .."},
        {"SCN": 2, "OPERATION_CODE": 7, "XID": "aa"},
    ]
    (committed,) = run(Assembly("ccb", everything), rows)
    assert [(row.operation_code, row.sql_redo) for _, row in committed.rows] == [(1, "insert ..")]


def test_unknown_operations_on_other_tables_are_counted() -> None:
    """A code of a later release may be a change, of a table that no one captures."""
    row = {
        "SCN": 7,
        "OPERATION_CODE": 99,
        "OPERATION": "NEW",
        "XID": "aa",
        "SEG_OWNER": "S",
        "TABLE_NAME": "T",
    }
    assembly = Assembly("ccb", lambda _row: None)
    assert assembly.add(log_row(row)) is None
    assert assembly.counts["rows of unknown operations"] == 1


def test_corrupted_blocks_stop_whatever_their_status() -> None:
    """Blocks that LogMiner passed over are lost changes of no known table."""
    row = {"SCN": 7, "OPERATION_CODE": 254, "OPERATION": "CORRUPTED_BLOCKS", "XID": "00"}
    with pytest.raises(RedoUnreadable, match="corrupt redo blocks"):
        Assembly("ccb", lambda _row: None).add(log_row(row))


@pytest.mark.parametrize("code", [0, 25])
def test_rows_without_change_are_passed_over(code: int) -> None:
    """Index maintenance and locks on captured tables are not changes."""
    assert Assembly("ccb", everything).add(log_row({"SCN": 7, "OPERATION_CODE": code, "XID": "aa"})) is None


def test_a_replication_marker_ends_no_transaction_with_changes() -> None:
    """A marker's own transaction is forgotten; changes before a marker come with their commit."""
    rows: list[dict[str, Any]] = [
        {"SCN": 1, "OPERATION_CODE": 6, "XID": "bb"},
        {"SCN": 1, "OPERATION_CODE": 27, "XID": "bb"},
        {"SCN": 2, "OPERATION_CODE": 1, "XID": "aa"},
        {"SCN": 3, "OPERATION_CODE": 27, "XID": "aa"},
        {"SCN": 4, "OPERATION_CODE": 7, "XID": "aa"},
    ]
    (committed,) = run(Assembly("ccb", everything), rows)
    assert (committed.scn, len(committed.rows)) == (4, 1)


@pytest.mark.parametrize(
    ("usernames", "expected"),
    [(["CCBRIDGE", None], "CCBRIDGE"), (["UNKNOWN", "CISUSER"], "CISUSER"), ([None], None)],
)
def test_user_is_decided_at_commit(usernames: list[str | None], expected: str | None) -> None:
    """The user may be known from any row of the transaction; UNKNOWN is none."""
    rows: list[dict[str, Any]] = [
        {"SCN": 1, "OPERATION_CODE": 1, "XID": "aa", "USERNAME": name} for name in usernames
    ]
    (committed,) = run(Assembly("ccb", everything), [*rows, {"SCN": 2, "OPERATION_CODE": 7, "XID": "aa"}])
    assert committed.username == expected
