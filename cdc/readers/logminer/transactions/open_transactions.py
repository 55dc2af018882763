"""Files of open transactions: where they lie, when they are complete, and what of them outlives a restart.

With a configured directory, an open transaction that has lasted a while is written down with a
*manifest*: what is known of it and the SCN up to which all its rows are in its file. A checkpoint names
such transactions, so reading may begin behind their start. Should a file be missing or not fit, reading
begins at the start of the oldest open transaction, as it does without a directory: nothing depends on
the files but how much redo is read again. Files go when a checkpoint that no longer needs them is
durable.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from cdc.errors import SpillFailed
from cdc.readers.logminer.transactions.spill import Segment, SpillFile
from cdc.readers.logminer.transactions.statement_rows import Statements
from cdc.readers.logminer.transactions.transaction import Transaction

FORMAT = 3
"""Of the manifest; another one is not read."""
ROWS, MANIFEST = ".rows", ".json"

log = structlog.get_logger(__name__)


class SpillStore:
    """The files of one reader's open transactions. One thread; the directory is this reader's alone.

    Args:
        system: name of the source; names the directory below the configured one.
        directory: where files outlive the process; None for a temporary one that does not.
        every_s: age from which an open transaction is written down, and how often again.
    """

    def __init__(self, system: str, directory: Path | None, *, every_s: float) -> None:
        self._system, self._every_s = system, every_s
        self._keeps = directory is not None
        self._folder = directory / system if directory is not None else None
        self._identity: Mapping[str, str] = {}
        self._written: dict[str, tuple[int, float]] = {}
        self._ended: dict[str, int] = {}

    def path(self, transaction: Transaction) -> Path:
        """The file of a transaction's rows."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="ccbridge-redo-"))
        elif not self._folder.is_dir():
            self._folder.mkdir(parents=True, mode=0o700)
        return self._folder / (transaction.name + ROWS)

    def spill(self, transaction: Transaction) -> int:
        """Move a transaction's rows to its file; returns the bytes of memory that are free now.

        Raises:
            SpillFailed: the directory cannot be written.
        """
        with self._writing():
            return transaction.spill(self.path(transaction))

    def begin(self, resume: Mapping[str, Any], identity: Mapping[str, str]) -> tuple[int, list[Transaction]]:
        """Start from a checkpoint: all other files are removed.

        Returns:
            The SCN after which to read, and the open transactions whose rows until then are on disk.
        """
        self._identity = dict(identity)
        self._written, self._ended = {}, {}
        named = [(str(xid), int(start), int(to)) for xid, start, to in resume.get("open", ())]
        found = [self._load(xid, start, to) for xid, start, to in named] if self._keeps else []
        loaded = [transaction for transaction in found if transaction is not None]
        complete = bool(named) and len(loaded) == len(named)
        self._sweep({transaction.name for transaction in loaded} if complete else set())
        if complete:
            now = time.monotonic()
            self._written = {one.name: (one.on_disk_to, now) for one in loaded}
            return int(resume["restart_from"]), loaded
        if named:
            log.warning("open_transactions_reread", system=self._system, position=int(resume["read_from"]))
        return int(resume["read_from"]), []

    def resume(
        self,
        transactions: Iterable[Transaction],
        position: int,
        *,
        all_read: bool,
        started: Iterable[int] = (),
    ) -> dict[str, Any]:
        """The checkpoint after everything committed up to `position`.

        Args:
            transactions: those open at `position`.
            position: SCN.
            all_read: the transactions hold all their rows up to `position` and none later, so they may
                be written down.
            started: START SCNs that mining must see again, of open transactions without captured rows.

        Raises:
            SpillFailed: the directory cannot be written.
        """
        low = start = min((position, *(scn - 1 for scn in started)))
        named: list[list[str | int]] = []
        for transaction in transactions:
            low = min(low, transaction.start_scn - 1)
            to = self._written_to(transaction, position, all_read=all_read)
            if to is None:
                start = min(start, transaction.start_scn - 1)
            else:
                named.append([transaction.xid, transaction.start_scn, to])
                start = min(start, to)
        resume: dict[str, Any] = {"read_from": low, "committed": position}
        if named:
            resume |= {"restart_from": start, "open": named}
        return resume

    def is_written(self, transaction: Transaction) -> bool:
        """True if a checkpoint does not need the redo of the transaction's start."""
        return transaction.name in self._written

    def ended(self, transaction: Transaction, scn: int) -> None:
        """The transaction committed or rolled back, and its rows were handed out."""
        if transaction.name in self._written:
            self._ended[transaction.name] = scn
        elif transaction.file is not None:
            with self._writing():
                transaction.file.delete()

    def acknowledged(self, resume: Mapping[str, Any]) -> None:
        """A checkpoint is durable: files of transactions that ended before it go."""
        committed = int(resume["committed"])
        for name in [name for name, scn in self._ended.items() if scn <= committed]:
            del self._ended[name], self._written[name]
            self._remove(name)

    def close(self) -> None:
        """Remove what no checkpoint needs; safe to call twice."""
        if self._folder is None:
            return
        if self._keeps:
            if self._identity:  # else nothing was read, and the files belong to the next reader
                with suppress(SpillFailed):  # what is left the next start removes
                    self._sweep(set(self._written))
        else:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self._written, self._ended = {}, {}
        self._identity = {}

    # -- manifests -----------------------------------------------------------------------------

    def _written_to(self, transaction: Transaction, position: int, *, all_read: bool) -> int | None:
        """SCN up to which the transaction is on disk; None if it is not."""
        if not self._keeps:
            return None
        known = self._written.get(transaction.name)
        since = known[1] if known else transaction.first_seen_s
        if all_read and transaction.changed and time.monotonic() - since >= self._every_s:
            self._write(transaction, position)
            return position
        if known is None:
            return None
        return known[0] if transaction.changed else max(known[0], position)

    def _write(self, transaction: Transaction, position: int) -> None:
        with self._writing():
            path = self.path(transaction)
            transaction.spill(path)
            if transaction.file is not None and transaction.file.segments:
                transaction.file.sync()
            manifest = {
                "format": FORMAT,
                "system": self._system,
                "identity": dict(self._identity),
                "xid": transaction.xid,
                "start_scn": transaction.start_scn,
                "start_seen": transaction.start_seen,
                "username": transaction.username,
                "client_id": transaction.client_id,
                "marks": transaction.marks,
                "started_at": str(transaction.started_at) if transaction.started_at else None,
                "unmatched": transaction.unmatched,
                "statements": transaction.statements.written(),
                "lob_rows": transaction.lob_rows,
                "lobs_changed": transaction.lobs_changed,
                "undone": transaction.undone,
                "written_to": position,
                "segments": [
                    _written(one) for one in (transaction.file.segments if transaction.file else ())
                ],
            }
            _replace(path.with_suffix(MANIFEST), json.dumps(manifest).encode())
        transaction.changed = False
        self._written[transaction.name] = (position, time.monotonic())
        log.debug(
            "open_transaction_written",
            system=self._system,
            transaction=transaction.name,
            position=position,
            rows=len(transaction),
        )

    def _load(self, xid: str, start_scn: int, to: int) -> Transaction | None:
        """A transaction from its manifest; None if there is none, or it does not fit."""
        transaction = Transaction(xid, start_scn, start_seen=False)
        path = self.path(transaction)
        try:
            manifest = json.loads(path.with_suffix(MANIFEST).read_bytes())
            segments = [_segment(one) for one in manifest["segments"]]
            fits = (
                (manifest["format"], manifest["system"], manifest["identity"])
                == (FORMAT, self._system, dict(self._identity))
                and (manifest["xid"], manifest["start_scn"]) == (xid, start_scn)
                and (not segments or path.stat().st_size >= segments[-1].end)
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not fits:
            return None
        transaction.start_seen = bool(manifest["start_seen"])
        transaction.username, transaction.client_id = manifest["username"], manifest["client_id"]
        transaction.marks = manifest["marks"]
        transaction.started_at = manifest["started_at"]
        transaction.unmatched = int(manifest["unmatched"])
        transaction.statements = Statements.read(manifest["statements"])
        transaction.lobs_changed = bool(manifest["lobs_changed"])
        transaction.lob_rows, transaction.undone = int(manifest["lob_rows"]), bool(manifest["undone"])
        transaction.file = SpillFile(path, segments) if segments else None
        transaction.on_disk_to = max(to, int(manifest["written_to"]))
        transaction.changed = False
        return transaction

    def _sweep(self, kept: set[str]) -> None:
        with self._writing():
            if self._folder is None or not self._folder.is_dir():
                return
            for path in self._folder.iterdir():
                if path.suffix in (ROWS, MANIFEST) and path.stem not in kept:
                    path.unlink(missing_ok=True)

    def _remove(self, name: str) -> None:
        if self._folder is None:
            return
        with self._writing():
            for suffix in (MANIFEST, ROWS):
                (self._folder / (name + suffix)).unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise SpillFailed(
                f"{self._system}: open transactions cannot be written to {exc.filename or self._folder}: "
                f"{exc.strerror}",
                hint="free space, and let the ccbridge user write there: it is checked once a minute; "
                "or set spill_directory of the system to another one and start again",
            ) from exc


def _written(segment: Segment) -> list[object]:
    dead = base64.b64encode(zlib.compress(segment.dead)).decode() if segment.dead is not None else None
    place = [segment.offset, segment.size, segment.rows, segment.checksum]
    return [*place, segment.changes, segment.statements, dead]


def _segment(written: list[Any]) -> Segment:
    offset, size, rows, checksum, changes, (first, last), dead = written
    return Segment(
        offset,
        size,
        rows,
        checksum,
        changes,
        (first, last),
        bytearray(zlib.decompress(base64.b64decode(dead))) if dead else None,
    )


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that after a crash it is the old or the new one."""
    draft = path.with_suffix(".new" + MANIFEST)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
