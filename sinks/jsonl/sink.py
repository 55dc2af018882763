"""Desired rows as lines of JSON: a `cdc.ports.Sink` whose position lies beside its files.

A line says what the row is now: a program that reads the lines in order, and keeps the last one of each key,
has the target that an upsert sink would have. Nothing is compared, so a row may come again unchanged.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import polars as pl

from cdc.bindings import Bound, Mark
from cdc.ports import (
    DELIVERY_SCHEMA,
    NEVER_S,
    REJECTION_SCHEMA,
    Admission,
    Desired,
    Live,
    Polled,
    Problem,
    Record,
    StopAsked,
    Store,
    Written,
)
from mapping_rules import OutboundProgram
from sinks.jsonl.folder import Folder, Position, free_number, look


class JsonlSink:
    """Writes one directory. One thread; opens it on first use.

    Args:
        system: name of the system in the configuration.
        directory: where the files are.
        rotate_bytes: a file that has grown larger is ended after the write; 0 for never.
        fencing_token: of the lease under which this process writes.
    """

    def __init__(self, system: str, directory: Path, *, rotate_bytes: int, fencing_token: int) -> None:
        self.system, self.name = system, f"{system}.jsonl"
        self.admission: Admission | None = None
        self.outlived = self.doubtful = False
        self._directory, self._rotate_bytes, self._token = directory, rotate_bytes, fencing_token
        self._folder: Folder | None = None

    @property
    def next_write(self) -> int:
        """Number that the next write gets if it has a line."""
        return self._open().position.writes + 1

    def prepare(self) -> None:
        """Make sure that the directory may be written; make it where it is missing.

        Raises:
            TargetRefused: it may not; nothing was made.
            OperatorError: it cannot be made or written.
        """
        self.look()
        self.close()
        Folder(self._directory).close()

    def look(self) -> None:
        """Return if the directory may be written as it is now.

        Raises:
            TargetRefused: it may not.
            OperatorError: it cannot be read.
        """
        if self.admission is not None:
            found = look(self._directory)
            self.admission.require(_identity(found), _mark(found))

    def position(self) -> int:
        """All staged rows up to this number are written. Claims the directory for our fencing token."""
        self.close()
        written = self._open().position.staged_seq
        return written if self.admission is None else self.admission.low(written)

    def committed(self, target_transaction: str) -> bool | None:
        """Was that write committed? None if it was to another directory."""
        position = self._open().position
        target, _, number = target_transaction.partition(":")
        return int(number) <= position.writes if target == position.target else None

    def write(self, desired: Desired, *, up_to: int, record: Record, hold: Record, live: Live) -> Written:
        """Append a line for each row, then move the position, all or nothing: see `cdc.ports.Sink.write`."""
        del live  # keys are equal if their texts are
        started = time.perf_counter()
        folder = self._open()
        rows = [(program, _written_rows(program, frame)) for program, frame in desired]
        parts = [_held(program, frame) for program, frame in rows]
        held = pl.concat([pl.DataFrame(schema=REJECTION_SCHEMA), *parts])
        sound = [(program, frame.drop_nulls(program.key)) for program, frame in rows]
        number = sum(frame.height for _, frame in sound)
        before = folder.position
        after = replace(before, staged_seq=max(before.staged_seq, up_to), writes=before.writes + (number > 0))
        try:
            with folder.locked():
                if number:
                    lines = b"".join(_lines(program, frame, after.writes) for program, frame in sound)
                    folder.append(lines)
                    after = self._grown(after, len(lines))
                if held.height:
                    hold(held)
                if number:
                    record(self._deliveries(sound, f"{before.target}:{after.writes}"))
                if after != before:
                    folder.commit(after)
        except BaseException:
            self.close()
            raise
        unchanged = sum(frame.height for _, frame in desired) - number - held.height
        return Written(number, unchanged, held, time.perf_counter() - started)

    def due_in_s(self) -> float:
        """Never: all is done by `write`."""
        return NEVER_S

    def poll(self, stop: StopAsked) -> Polled:
        """Nothing is left to do after a write."""
        del stop
        return Polled()

    def bind(self, staging: str, newest_seq: int, store: Store) -> list[Problem]:
        """Have the directory written from a staging database; every row is written again, into a new file."""
        self.close()
        with closing(Folder(self._directory)) as folder, folder.locked():
            before = folder.position
            store(Bound(_identity(before), before.writes, 0))
            folder.commit(
                replace(
                    before,
                    staging=staging,
                    fencing_token=0,
                    staged_seq=min(before.staged_seq, newest_seq),
                    file=free_number(self._directory),
                    size=0,
                )
            )
        return []

    def close(self) -> None:
        """Close the files. Safe to call twice."""
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def _open(self) -> Folder:
        if self._folder is None:
            folder = Folder(self._directory)
            try:
                with folder.locked():
                    if self.admission is not None:
                        found = look(self._directory)
                        self.admission.admit(_identity(found), _mark(found))
                    staging = self.admission.staging if self.admission is not None else None
                    folder.claim(self._token, staging)
            except BaseException:
                folder.close()
                raise
            self._folder = folder
        return self._folder

    def _grown(self, position: Position, by: int) -> Position:
        size = position.size + by
        if self._rotate_bytes and size > self._rotate_bytes:
            return replace(position, file=position.file + 1, size=0)
        return replace(position, size=size)

    def _deliveries(self, rows: Desired, transaction: str) -> pl.DataFrame:
        frames = [
            frame.select(
                pl.lit(self.name).alias("sink"),
                pl.lit(str(program.table)).alias("target_table"),
                pl.struct(program.key).struct.json_encode().alias("key"),
                pl.col("_op").replace({"upsert": "insert"}).alias("decision"),
                pl.lit(None, pl.String).alias("before"),
                _row(program).struct.json_encode().alias("after"),
                pl.col("_staged_seq").alias("staged_seq"),
                pl.lit(transaction).alias("target_transaction"),
            )
            for program, frame in rows
        ]
        return pl.concat([pl.DataFrame(schema=DELIVERY_SCHEMA), *frames])


def _written_rows(program: OutboundProgram, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows that get a line, with `_op`; one that is gone gets none where the rule ignores that."""
    gone = {"delete": "delete", "deactivate": "deactivate"}.get(program.on_delete)
    op = pl.when("_deleted").then(pl.lit(gone, pl.String)).otherwise(pl.lit("upsert"))
    return frame.with_columns(_op=op).filter(pl.col("_op").is_not_null())


def _lines(program: OutboundProgram, frame: pl.DataFrame, write: int) -> bytes:
    line = pl.struct(
        pl.lit(str(program.table)).alias("table"),
        pl.col("_op").alias("op"),
        pl.struct(program.key).alias("key"),
        _row(program).alias("row"),
        pl.col("_staged_seq").alias("staged_seq"),
        pl.lit(write).alias("write"),
    )
    texts = frame.select(line.struct.json_encode().alias("line"))["line"]
    return "".join(f"{text}\n" for text in texts).encode()


def _row(program: OutboundProgram) -> pl.Expr:
    """The other columns as texts; nothing of a row that is gone, but the column that says so."""
    columns: list[pl.Expr] = [pl.col(name) for name in program.columns]
    if program.on_delete == "deactivate" and program.deactivate_column is not None:
        column = program.deactivate_column
        columns = [expr for expr in columns if expr.meta.output_name() != column]
        active = pl.col(column) if column in program.columns else pl.lit(None, pl.String)
        gone = pl.col("_op") == "deactivate"
        columns.append(pl.when(gone).then(pl.lit("false")).otherwise(active).alias(column))
    return pl.when(pl.col("_op") != "delete").then(pl.struct(columns))


def _held(program: OutboundProgram, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows without a whole key: a line could be of any row."""
    keyless = frame.filter(pl.any_horizontal(pl.col(program.key).is_null()))
    return keyless.select(
        pl.lit(program.name).alias("program"),
        pl.lit(str(program.table)).alias("target_table"),
        pl.struct(program.key).struct.json_encode().alias("key"),
        pl.col("_staged_seq").alias("staged_seq"),
        pl.lit("null_refused").alias("reason_code"),
        pl.lit(f"{program.table}: NULL in the key, expected a value").alias("reason"),
    )


def _identity(position: Position | None) -> dict[str, str]:
    return {} if position is None else {"target": position.target}


def _mark(position: Position | None) -> Mark | None:
    if position is None:
        return None
    return Mark(position.staging, position.staged_seq, position.fencing_token, position.writes)
