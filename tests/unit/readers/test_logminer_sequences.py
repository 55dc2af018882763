"""Recorded orders of V$LOGMNR_CONTENTS rows and log lists; sources in tests/data/README_logminer.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cdc.changes import TableName
from cdc.errors import RedoNotAvailable, RedoUnreadable
from cdc.readers.logminer.assembly import Assembly
from cdc.readers.logminer.events import Committed
from cdc.readers.logminer.logs import LogFile, RedoThread, logs_to_mine
from cdc.readers.logminer.open_work import OpenWork
from cdc.readers.logminer.rows import Code, LogRow, transaction_name

DATA = Path(__file__).parents[2] / "data" / "logminer_sequences.jsonl"
SEQUENCES = {case["id"]: case for case in map(json.loads, DATA.read_text(encoding="utf-8").splitlines())}
USED: set[str] = set()
TABLE = TableName("S", "T")
CODES = {"INSERT": 1, "DELETE": 2, "UPDATE": 3, "START": 6, "COMMIT": 7, "INTERNAL": 0, "ROLLBACK": 36}


def of_kind(*kinds: str) -> pytest.MarkDecorator:
    USED.update(kinds)
    chosen = [case for case in SEQUENCES.values() if case["kind"] in kinds]
    assert chosen
    return pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in chosen])


def log_row(row: dict[str, Any]) -> LogRow:
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
    )


def everything(_row: LogRow) -> TableName:
    return TABLE


def watermark(assembly: Assembly, scn: int) -> int:
    read_from: int = OpenWork("ccb", None, every_s=0).resume(assembly.open, scn, all_read=True)["read_from"]
    return read_from


def run(assembly: Assembly, rows: list[dict[str, Any]]) -> list[Committed]:
    events = [assembly.add(log_row(row)) for row in rows]
    return [event for event in events if isinstance(event, Committed)]


@of_kind("partial_rollback")
def test_undone_rows_are_not_handed_out(case: dict[str, Any]) -> None:
    """Rows undone by a savepoint or a failed statement never leave the transaction."""
    rows, expect = case["rows"], case["expect"]
    assembly = Assembly("ccb", everything)
    last = max(row["SCN"] for row in rows)
    end = {"SCN": expect.get("commit_scn", last), "OPERATION_CODE": 7, "XID": rows[0]["XID"]}
    # the recorded texts are cut off; rows of temporary tables count here, though they carry no data
    committed = run(assembly, [*({**row, "SQL_REDO": "recorded"} for row in rows), end])
    survivors = [row for _, row in committed[0].rows] if committed else []
    assert len(survivors) == expect["survivors_count"]
    assert assembly.counts["unmatched rolled back rows"] == 0
    places = {(row.rs_id or "").strip() for row in survivors}
    assert not places & set(expect.get("must_be_absent", ()))
    assert places >= set(expect.get("must_be_present", ()))
    if expect.get("survivors") is not None:
        found = [(r.rs_id.strip() if r.rs_id else "", r.ssn, r.row_id, r.operation_code) for r in survivors]
        assert found == [
            (one["RS_ID"].strip(), one["SSN"], one["ROW_ID"], one["OPERATION_CODE"])
            for one in expect["survivors"]
        ]


@of_kind("csf")
def test_pieces_of_a_long_text_are_joined_without_separator(case: dict[str, Any]) -> None:
    """A text cut in the middle of an identifier comes out whole."""
    committed = run(Assembly("ccb", everything), [*case["rows"], {"OPERATION_CODE": 7}])
    ((_, row),) = committed[0].rows
    assert row.sql_redo == case["expect"]["sql_redo"]
    assert len(row.sql_redo or "") == case["expect"]["joined_length"]


@of_kind("full_row")
def test_transaction_id_is_read_little_endian(case: dict[str, Any]) -> None:
    """XID bytes name segment, slot and sequence as V$TRANSACTION does."""
    (row,) = case["rows"]
    assert transaction_name(row["XID"]) == ".".join(map(str, case["expect"]["xid_parts"]))


@of_kind("interleaved")
def test_interleaved_transactions_come_out_in_commit_order(case: dict[str, Any]) -> None:
    """Each transaction whole, in the order of the commits; what never commits never comes."""
    assembly = Assembly("ccb", everything)
    committed = run(assembly, case["rows"])
    assert [one.xid for one in committed] == case["expect"]["commit_order"]
    events = [[one.xid, row.sql_redo] for one in committed for _, row in one.rows]
    assert events == case["expect"]["events"]
    assert [one.xid for one in assembly.open] == case["expect"]["never_committed"]


@of_kind("corruption", "missing_scn")
def test_lost_redo_stops(case: dict[str, Any]) -> None:
    """Corrupt blocks and holes in the redo are an error at that very row, never noise."""
    assembly = Assembly("ccb", everything)
    for index, row in enumerate(case["rows"]):
        if index == case["expect"]["must_stop_at_row"]:
            with pytest.raises((RedoUnreadable, RedoNotAvailable)):
                assembly.add(log_row(row))
            return
        assembly.add(log_row(row))
    pytest.fail("the row that must stop was not reached")


@of_kind("transaction_buffer", "lob_partial_rollback")
def test_transaction_buffer(case: dict[str, Any]) -> None:
    """What is emitted, what stays open and what was rolled back, as recorded."""
    expect = case["expect"]
    assembly = Assembly("ccb", everything)
    committed = run(assembly, case["rows"])
    if "emitted" in expect:
        assert [[one.xid, len(one.rows)] for one in committed] == expect["emitted"]
    if "open_after" in expect:
        assert [one.xid for one in assembly.open] == expect["open_after"]
    if "oldest_open_scn" in expect:
        assert assembly.open[0].start_scn == expect["oldest_open_scn"]
    assert not {one.xid for one in assembly.open} & set(expect.get("rolled_back", ()))


@of_kind("rac_private_thread")
def test_work_of_private_threads_is_read(case: dict[str, Any]) -> None:
    """A thread that belongs to one instance has changes of users like any other; upstream drops them."""
    assembly = Assembly("ccb", everything)
    run(assembly, case["rows"])
    xids = [row["XID"] for row in case["rows"] if row["OPERATION_CODE"] == Code.START]
    assert [one.xid for one in assembly.open] == xids
    assert xids != case["expect"]["open_after"]


@of_kind("checkpoint")
def test_restart_point_stays_before_open_transactions(case: dict[str, Any]) -> None:
    """The low watermark holds for transactions with captured rows, and for no others."""
    assembly = Assembly("ccb", everything)
    checkpoints = []
    for row in case["rows"]:
        if isinstance(assembly.add(log_row(row)), Committed):
            checkpoints.append([row["SCN"], watermark(assembly, row["SCN"])])
    assert checkpoints == case["expect"]["checkpoints"]


@of_kind("recorded")
def test_undecoded_rows_reach_their_table(case: dict[str, Any]) -> None:
    """Rows named by object id count as the table's when the id is known, of an index too."""
    committed = run(
        Assembly("ccb", everything),
        [*case["rows"], {"SCN": 99, "OPERATION_CODE": 7, "XID": case["rows"][0]["XID"]}],
    )
    assert sum(len(one.rows) for one in committed) == case["expect"]["events"]
    if "xid_parts" in case["expect"]:
        assert committed[0].name == ".".join(map(str, case["expect"]["xid_parts"]))


@of_kind("ddl_and_dml")
def test_dictionary_updates_beside_ddl_are_not_changes(case: dict[str, Any]) -> None:
    """Only the captured table's rows come, with the SCN of their commit."""
    wanted = TableName(*case["expect"]["table"].split("."))
    assembly = Assembly("ccb", lambda row: wanted if row.owner == wanted.schema else None)
    committed = run(assembly, case["rows"])
    assert sum(len(one.rows) for one in committed) == case["expect"]["events"]
    assert committed[0].scn == case["expect"]["commit_scn"]


@of_kind("log_files")
def test_log_list_is_complete_or_not(case: dict[str, Any]) -> None:
    """A gap in a needed thread is seen; closed threads and foreign logs do not disturb."""
    threads = [
        RedoThread(one["thread"], one["status"] == "OPEN", one["last_flushed_scn"], one.get("enabled_scn"))
        for one in case["expect"]["threads"]
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
    found = logs_to_mine(case["expect"]["start_scn"], logs, threads)
    assert (not found.gaps) == case["expect"]["complete"]


@of_kind("xml", "lob_basicfile")
def test_large_objects_are_left_out_and_counted(case: dict[str, Any]) -> None:
    """LOB and XML columns are not captured: the row itself comes, their pieces are counted."""
    assembly = Assembly("ccb", everything)
    committed = run(assembly, [*case["rows"], {"OPERATION_CODE": 7}])
    data = [row for row in case["rows"] if row["OPERATION_CODE"] in (1, 2, 3)]
    pieces = [row for row in case["rows"] if row["OPERATION_CODE"] not in (1, 2, 3, 6, 7)]
    assert [row.sql_redo for one in committed for _, row in one.rows] == [row["SQL_REDO"] for row in data]
    assert assembly.counts["LOB rows left out"] == len(pieces)


def test_every_recorded_sequence_has_a_test() -> None:
    """A new kind of sequence must not be passed over."""
    assert {case["kind"] for case in SEQUENCES.values()} == USED


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
        {"SCN": 1, "OPERATION_CODE": 6}, FORWARD, *rows, {"SCN": 9, "OPERATION_CODE": end},
    ]  # fmt: skip
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
    """What it undoes is told by its place; LogMiner may give it no SQL_REDO, or not know it at all."""
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
    """A code of a later release may be a change, of a table that nobody captures."""
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
    """Index maintenance and locks on captured tables are no changes."""
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
    """The user may be known from any row of the transaction; UNKNOWN is nobody."""
    rows: list[dict[str, Any]] = [
        {"SCN": 1, "OPERATION_CODE": 1, "XID": "aa", "USERNAME": name} for name in usernames
    ]
    (committed,) = run(Assembly("ccb", everything), [*rows, {"SCN": 2, "OPERATION_CODE": 7, "XID": "aa"}])
    assert committed.username == expected
