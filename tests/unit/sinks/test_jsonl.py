"""Files with lines of JSON: whole writes only, whatever stops the process where."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cdc.bindings import Bound
from cdc.config import load
from cdc.errors import ConfigurationError, OperatorError, TransientError
from sinks.jsonl.folder import POSITION, Position, look
from sinks.jsonl.kind import JSONL
from sinks.jsonl.sink import JsonlSink
from tests.integration.sinks.upsert_target import CUSTOMER, desired, program

RULE = program("recharge", ["recharge_id"], ["amount"])
STEPS = ("os.pwrite", "os.fsync", "os.replace", "os.ftruncate")


def ignored(_: Any) -> None:
    """Staging, where it does not matter."""


def sink_of(directory: Path, rotate_bytes: int = 0) -> JsonlSink:
    sink = JsonlSink("files", directory, rotate_bytes=rotate_bytes, fencing_token=1)
    sink.prepare()
    return sink


def write(sink: JsonlSink, seq: int, *rows: tuple[str, str], record: Callable[[Any], None] = ignored) -> None:
    sink.write(
        [(RULE, desired(RULE, *rows))], up_to=seq, record=record, hold=ignored, live=lambda *_: pl.DataFrame()
    )


def lines(directory: Path) -> list[dict[str, Any]]:
    """What counts, as `docs/jsonl.md` tells a reader to take it."""
    position = look(directory) or Position("")
    found: list[dict[str, Any]] = []
    for path in sorted(directory.glob("rows-*.jsonl")):
        text = path.read_bytes()
        if int(path.stem[5:]) == position.file:
            text = text[: position.size]
        found += [json.loads(line) for line in text.splitlines()]
    return found


def test_a_line_says_what_the_row_is_and_money_is_text(tmp_path: Path) -> None:
    """Decimal places are kept, NULL is null, and the empty text is neither."""
    with closing(sink_of(tmp_path / "files")) as sink:
        rows = desired(CUSTOMER, ["p1", "Ada", "", "12.50"], ["p2", "Grace", None, "0.00"], gone=["p3"])
        sink.write([(CUSTOMER, rows)], up_to=4, record=ignored, hold=ignored, live=lambda *_: pl.DataFrame())
    assert lines(tmp_path / "files") == [
        {
            "table": "public.customer",
            "op": op,
            "key": {"person_id": key},
            "row": row,
            "staged_seq": seq,
            "write": 1,
        }
        for seq, (op, key, row) in enumerate(
            (
                ("upsert", "p1", {"name": "Ada", "phone": "", "credit": "12.50", "active": None}),
                ("upsert", "p2", {"name": "Grace", "phone": None, "credit": "0.00", "active": None}),
                ("deactivate", "p3", {"name": None, "phone": None, "credit": None, "active": "false"}),
            ),
            1,
        )
    ]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("rotate_bytes", [0, 100])
def test_a_crash_at_any_step_leaves_all_of_a_write_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, rotate_bytes: int
) -> None:
    """And the write that is done again after it is there once."""
    folder = tmp_path / "files"
    with closing(sink_of(folder, rotate_bytes)) as sink:
        write(sink, 1, ("a", "1.00"))
    name = step.rpartition(".")[2]
    real, crashes = getattr(os, name), 0
    while True:
        calls = 0

        def stop(*args: Any, after: int = crashes, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > after:
                raise OSError(errno.EIO, "the machine lost its power")
            return real(*args, **kwargs)

        before, seq = lines(folder), (look(folder) or Position("")).staged_seq
        monkeypatch.setattr(os, name, stop)
        broken = False
        try:
            with closing(JsonlSink("files", folder, rotate_bytes=rotate_bytes, fencing_token=1)) as sink:
                write(sink, seq + 1, (f"b{seq}", "2.00"), (f"c{seq}", "3.00"))
        except TransientError:
            broken = True
        monkeypatch.undo()
        after, position = lines(folder), look(folder) or Position("")
        assert (len(after) - len(before), position.staged_seq - seq) in ((0, 0), (2, 1))
        if not broken:
            break
        crashes += 1
        with closing(JsonlSink("files", folder, rotate_bytes=rotate_bytes, fencing_token=1)) as sink:
            assert sink.position() == position.staged_seq
            write(sink, sink.position() + 1, ("d", "4.00"))
        assert lines(folder)[: len(after)] == after
    assert crashes


def test_what_was_not_committed_never_counts(tmp_path: Path) -> None:
    """Not even where a shorter write is put over it, and the file is ended after that."""
    folder = tmp_path / "files"

    def lost(_: pl.DataFrame) -> None:
        raise TransientError("staging is gone")

    with closing(sink_of(folder, 50)) as sink:
        with pytest.raises(TransientError):
            write(sink, 1, *((f"{number}", "1.00") for number in range(20)), record=lost)
        assert lines(folder) == []
        write(sink, 1, ("a", "1.00"))
        write(sink, 2, ("b", "2.00"))
    assert [line["key"]["recharge_id"] for line in lines(folder)] == ["a", "b"]


WRITER = """
import sys
from pathlib import Path
from tests.unit.sinks.test_jsonl import sink_of, write
sink = sink_of(Path(sys.argv[1]), 2_000)
number = sink.position()
print("ready", flush=True)
while True:
    number += 1
    write(sink, number, *((f"{number}-{part}", "0.10") for part in range(20)))
    print(number, flush=True)
"""


def test_kill_9_at_any_moment_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """What the process said was written is there, each row once, in order, through files that rotate."""
    folder = tmp_path / "files"
    for killed_after in (3, 7, 5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(killed_after)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read().split()
        process.wait()
        process.stdout.close()
        with closing(JsonlSink("files", folder, rotate_bytes=2_000, fencing_token=1)) as sink:
            position = sink.position()
        assert position >= int([one for one in said if one != "ready"][-1])
        keys = [line["key"]["recharge_id"] for line in lines(folder)]
        assert keys == [f"{number}-{part}" for number in range(1, position + 1) for part in range(20)]
    assert len(list(folder.glob("rows-*.jsonl"))) > 3


def test_lines_that_were_lost_stop_the_sink(tmp_path: Path) -> None:
    """A file that is shorter than it was is never written on; the hint names the way out, and it works."""
    folder = tmp_path / "files"
    with closing(sink_of(folder)) as sink:
        write(sink, 1, ("a", "1.00"), ("b", "2.00"))
    os.truncate(folder / "rows-000001.jsonl", 10)
    with closing(JsonlSink("files", folder, rotate_bytes=0, fencing_token=1)) as sink:
        with pytest.raises(OperatorError, match="lines are lost"):
            sink.position()
        (folder / POSITION).unlink()
        stored: list[Bound] = []
        sink.bind("9b1f", 1, stored.append)
        assert sink.position() == 0
        write(sink, 1, ("a", "1.00"))
    assert (folder / "rows-000001.jsonl").stat().st_size == 10
    assert (folder / "rows-000002.jsonl").read_text().count("\n") == 1


def test_two_processes_do_not_write_one_directory_at_once(tmp_path: Path) -> None:
    """While one commits, the other is sent away and tries again."""
    folder = tmp_path / "files"
    with closing(sink_of(folder)) as sink:

        def meanwhile(_: pl.DataFrame) -> None:
            with pytest.raises(TransientError, match="another process"):
                JsonlSink("files", folder, rotate_bytes=0, fencing_token=1).position()

        write(sink, 1, ("a", "1.00"), record=meanwhile)


def test_what_the_check_finds(tmp_path: Path) -> None:
    """A place that is missing, and rules that ask for more than a file can do."""
    (tmp_path / "ccbridge.toml").write_text(
        '[staging]\nhost = "s"\ndatabase = "s"\nuser = "s"\n'
        '[systems.files]\nkind = "jsonl"\ndirectory = "out/rows"\n'
    )
    settings = load(tmp_path / "ccbridge.toml", {})
    (finding,) = JSONL.findings(settings, "files", [RULE])
    assert str(tmp_path / "out") in finding.found
    (tmp_path / "out").mkdir()
    assert JSONL.findings(settings, "files", [RULE]) == []
    acknowledgement = program("recharge", ["recharge_id"], ["amount"], update_only=True)
    assert "insert: false" in JSONL.rule_errors([RULE, acknowledgement])[0]
    (tmp_path / "ccbridge.toml").write_text(
        '[staging]\nhost = "s"\ndatabase = "s"\nuser = "s"\n'
        '[systems.files]\nkind = "jsonl"\ndirectory = "out"\nreader = "pgoutput"\n'
        '[systems.x]\nkind = "mysql"\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "ccbridge.toml", {})
    assert [error.partition(": ")[2] for error in caught.value.errors] == [
        "systems.files.reader: systems of this kind are not captured",
        "systems.x.kind: expected 'jsonl', 'oracle' or 'postgres'",
    ]
