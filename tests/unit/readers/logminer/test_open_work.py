"""Open transactions on disk: rows undone there, memory given back, restarts, and files that go in time."""

from __future__ import annotations

import errno
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cdc.changes import TableName
from cdc.errors import RedoUnreadable, SpillFailed
from cdc.readers.logminer.mining.rows import LogRow
from cdc.readers.logminer.transactions.assembly import Assembly
from cdc.readers.logminer.transactions.events import Committed, RolledBack
from cdc.readers.logminer.transactions.open_transactions import SpillStore

TABLE = TableName("S", "T")
IDENTITY = {"dbid": "1", "resetlogs_change": "2"}
XIDS = ("0a00010057030000", "0b00020058030000", "0c00030059030000")


def change(scn: int, code: int, row_id: str | None, *, xid: str = XIDS[0], undo: bool = False) -> LogRow:
    return LogRow(
        scn,
        code,
        xid,
        f"text {scn} ' é",
        rollback=int(undo),
        row_id=row_id,
        data_obj=7,
        owner="S",
        table="T",
        rs_id=f" 0x{scn:06x} ",
        ssn=scn % 3,
    )


def control(scn: int, code: int, xid: str = XIDS[0]) -> LogRow:
    return LogRow(scn, code, xid)


def history(seed: int, steps: int = 400) -> list[LogRow]:
    """Interleaved transactions; parts of them are undone newest first, as a savepoint does."""
    pick = random.Random(seed)  # noqa: S311 - data, no secret
    rows = [control(1, 6, xid) for xid in XIDS]
    made: dict[str, list[LogRow]] = {xid: [] for xid in XIDS}
    for scn in range(2, steps):
        xid = pick.choice(XIDS)
        if pick.random() < 0.06:
            for undone in range(pick.randrange(1, 40)):
                if not made[xid]:
                    break
                last = made[xid].pop()
                inverse = {1: 2, 2: 1, 3: 3}[last.operation_code]
                rows.append(change(scn * 100 + undone, inverse, last.row_id, xid=xid, undo=True))
        else:
            row = change(scn * 100, pick.choice((1, 2, 3)), f"R{pick.randrange(20)}", xid=xid)
            made[xid].append(row)
            rows.append(row)
    return [*rows, *(control(steps * 100, pick.choice((7, 7, 36)), xid) for xid in XIDS)]


def contents(assembly: Assembly, rows: Iterable[LogRow]) -> list[tuple[str, list[tuple[object, ...]]]]:
    """Committed transactions with what is kept of their rows."""
    ended = [assembly.add(row) for row in rows]
    return [
        (
            one.name,
            [(table, r.scn, r.operation_code, r.sql_redo, r.row_id, r.rs_id, r.ssn) for table, r in one.rows],
        )
        for one in ended
        if isinstance(one, Committed)
    ]


def new_assembly(work: SpillStore, **options: Any) -> Assembly:
    return Assembly("ccb", lambda _row: TABLE, spill=work.spill, **options)


@pytest.mark.parametrize("seed", range(8))
def test_spilled_transactions_end_as_those_in_memory(seed: int, tmp_path: Path) -> None:
    """Whatever was spilled when, undone rows are gone and the others come in order."""
    rows = history(seed)
    expected = contents(Assembly("ccb", lambda _row: TABLE), rows)
    work = SpillStore("ccb", tmp_path, every_s=30)
    assembly = new_assembly(work, max_bytes=30_000)
    assert contents(assembly, rows) == expected
    assert assembly.counts["spilled rows"] > 0
    assert assembly.counts["unmatched rolled back rows"] == 0


def test_insert_with_lob_is_undone_on_disk(tmp_path: Path) -> None:
    """The insert has no row id; its update, already on disk with it, leads there."""
    work = SpillStore("ccb", tmp_path, every_s=30)
    rows = [
        control(1, 6),
        change(2, 1, "A" * 18),
        change(3, 3, "R1"),
        change(4, 1, "R2"),
        change(5, 2, "R1", undo=True),
        control(6, 7),
    ]
    ((_, kept),) = contents(new_assembly(work, max_bytes=1), rows)
    assert [row[1] for row in kept] == [4]


def test_files_are_private_and_go_with_their_transaction(tmp_path: Path) -> None:
    """Redo holds customers' data: only the owner may read it, and not longer than needed."""
    work = SpillStore("ccb", tmp_path, every_s=30)
    assembly = new_assembly(work, max_bytes=1)
    for xid in XIDS[:2]:
        for row in (control(1, 6, xid), change(2, 1, "R1", xid=xid)):
            assembly.add(row)
    files = list((tmp_path / "ccb").iterdir())
    assert len(files) == 2
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (tmp_path / "ccb").stat().st_mode & 0o777 == 0o700
    for row in (control(3, 7, XIDS[0]), control(4, 36, XIDS[1])):
        ended = assembly.add(row)
        assert isinstance(ended, Committed | RolledBack)
        assert ended.transaction is not None
        work.ended(ended.transaction, ended.scn)
    assert list((tmp_path / "ccb").iterdir()) == []


def begun(tmp_path: Path, rows: Iterable[LogRow], position: int) -> tuple[Mapping[str, Any], SpillStore]:
    """A checkpoint at `position` after some rows, open transactions written down."""
    work = SpillStore("ccb", tmp_path, every_s=0)
    work.begin({"read_from": 0, "committed": 0}, IDENTITY)
    assembly = new_assembly(work)
    for row in rows:
        assembly.add(row)
    return work.resume(assembly.open, position, all_read=True), work


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("again", [0, 3_000])
def test_restart_continues_behind_the_start_of_open_transactions(
    seed: int, again: int, tmp_path: Path
) -> None:
    """Rows read before come from disk, rows read again are not taken twice, undone ones stay undone."""
    rows = history(seed)
    expected = contents(Assembly("ccb", lambda _row: TABLE), rows)
    position = 20_000
    resume, work = begun(tmp_path, (row for row in rows if row.scn <= position), position)
    work.close()
    assert resume["read_from"] == 0
    restarted = SpillStore("ccb", tmp_path, every_s=0)
    start, open_then = restarted.begin(resume, IDENTITY)
    assert start == position
    assembly = new_assembly(restarted, restored=open_then, max_bytes=30_000)
    assert contents(assembly, (row for row in rows if row.scn > start - again)) == expected


def test_open_transaction_without_news_does_not_hold_the_position(tmp_path: Path) -> None:
    """A transaction idle for days costs nothing at a restart."""
    work = SpillStore("ccb", tmp_path, every_s=0)
    work.begin({"read_from": 0, "committed": 0}, IDENTITY)
    assembly = new_assembly(work)
    for row in (control(1, 6), change(2, 1, "R1")):
        assembly.add(row)
    assert work.resume(assembly.open, 10, all_read=True)["restart_from"] == 10
    resume = work.resume(assembly.open, 9_000, all_read=False)
    assert (resume["restart_from"], resume["read_from"]) == (9_000, 0)


def test_changes_since_the_last_writing_are_read_again(tmp_path: Path) -> None:
    """In the middle of a window nothing is written: the checkpoint says how far the file is complete."""
    work = SpillStore("ccb", tmp_path, every_s=0)
    work.begin({"read_from": 0, "committed": 0}, IDENTITY)
    assembly = new_assembly(work)
    for row in (control(1, 6), change(2, 1, "R1")):
        assembly.add(row)
    work.resume(assembly.open, 10, all_read=True)
    assembly.add(change(12, 3, "R1"))
    assert work.resume(assembly.open, 11, all_read=False)["restart_from"] == 10


@pytest.mark.parametrize("harm", ["missing", "identity", "manifest", "short"])
def test_without_fitting_files_reading_starts_at_the_oldest_transaction(harm: str, tmp_path: Path) -> None:
    """Files only save work: a missing or foreign one costs a longer read, never a row."""
    resume, work = begun(tmp_path, (control(5, 6), change(6, 1, "R1")), 10)
    work.close()
    (manifest,), (rows,) = (list((tmp_path / "ccb").glob(f"*{suffix}")) for suffix in (".json", ".rows"))
    if harm == "missing":
        rows.unlink()
    elif harm == "manifest":
        manifest.write_text("{")
    elif harm == "short":
        rows.write_bytes(rows.read_bytes()[:-1])
    identity = {"dbid": "3"} if harm == "identity" else IDENTITY
    assert SpillStore("ccb", tmp_path, every_s=0).begin(resume, identity) == (4, [])
    assert list((tmp_path / "ccb").iterdir()) == []


def test_damaged_rows_are_refused(tmp_path: Path) -> None:
    """Rows that are not what was written are never handed out."""
    resume, work = begun(tmp_path, (control(5, 6), change(6, 1, "R1")), 10)
    work.close()
    (path,) = (tmp_path / "ccb").glob("*.rows")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    _, (transaction,) = SpillStore("ccb", tmp_path, every_s=0).begin(resume, IDENTITY)
    with pytest.raises(RedoUnreadable, match="damaged"):
        list(transaction)


def test_files_stay_until_the_checkpoint_behind_the_commit_is_durable(tmp_path: Path) -> None:
    """A crash between handing out and staging a transaction still finds its rows."""
    work = SpillStore("ccb", tmp_path, every_s=0)
    work.begin({"read_from": 0, "committed": 0}, IDENTITY)
    assembly = new_assembly(work)
    for row in (control(5, 6), change(6, 1, "R1")):
        assembly.add(row)
    before = work.resume(assembly.open, 10, all_read=True)
    ended = assembly.add(control(11, 7))
    assert isinstance(ended, Committed)
    assert ended.transaction is not None
    work.ended(ended.transaction, ended.scn)
    after = work.resume(assembly.open, 20, all_read=True)
    assert "open" not in after
    work.acknowledged(before)
    crashed = SpillStore("ccb", tmp_path, every_s=0)
    start, (transaction,) = crashed.begin(before, IDENTITY)
    assert (start, len(transaction)) == (10, 1)
    work.acknowledged(after)
    assert list((tmp_path / "ccb").iterdir()) == []


def test_temporary_directory_goes_with_the_reader() -> None:
    """Without a configured directory nothing outlives the reader, and nothing is promised to."""
    work = SpillStore("ccb", None, every_s=0)
    assembly = new_assembly(work, max_bytes=1)
    for row in (control(5, 6), change(6, 1, "R1")):
        assembly.add(row)
    folder = work.path(assembly.open[0]).parent
    assert "open" not in work.resume(assembly.open, 10, all_read=True)
    assert list(folder.iterdir())
    work.close()
    assert not folder.exists()


def test_directory_that_refuses_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full, read only, no directory: reported at once with the setting, and continued when corrected."""
    (tmp_path / "ccb").write_text("a file")
    work = SpillStore("ccb", tmp_path, every_s=0)
    assembly = new_assembly(work, max_bytes=1)
    assembly.add(control(5, 6))
    with pytest.raises(SpillFailed, match="cannot be written") as caught:
        assembly.add(change(6, 1, "R1"))
    assert "spill_directory" in caught.value.hint
    assert caught.value.tries == 1
    (tmp_path / "ccb").unlink()
    work = SpillStore("ccb", tmp_path, every_s=0)
    work.begin({"read_from": 1}, {"dbid": "1"})
    assembly = new_assembly(work, max_bytes=1)
    for row in (control(5, 6), change(6, 1, "R1")):
        assembly.add(row)
    (transaction,) = assembly.open
    work.resume([transaction], 7, all_read=True)

    def refuse(_path: Path, **_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    work.ended(transaction, 8)
    with pytest.raises(SpillFailed, match="Read-only file system"):
        work.acknowledged({"committed": 9})
    with pytest.raises(SpillFailed, match="Read-only file system"):
        work.begin({"read_from": 1}, {"dbid": "1"})
    work.close()


def test_a_link_that_stands_where_a_file_is_to_be_is_not_followed(tmp_path: Path) -> None:
    """Rows of customers are written into our own files only."""
    work = SpillStore("ccb", tmp_path, every_s=30)
    assembly = new_assembly(work, max_bytes=2**20)
    for row in (control(5, 6), change(6, 1, "R1")):
        assembly.add(row)
    (transaction,) = assembly.open
    work.path(transaction).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpillFailed, match="cannot be written"):
        work.spill(transaction)
    assert not (tmp_path / "elsewhere").exists()


def test_transactions_without_captured_rows_hold_the_checkpoint_back() -> None:
    """The first row of such a one may be half in the redo that was read: mining must see its start again."""
    work = SpillStore("ccb", None, every_s=0)
    assert work.resume([], 100, all_read=True, started=[90, 95]) == {"read_from": 89, "committed": 100}
    assert work.resume([], 100, all_read=True, started=[150]) == {"read_from": 100, "committed": 100}
