"""A directory that takes lines and a position as one transaction, where the file system keeps a rename whole.

Lines are written to `rows-000001.jsonl` and made durable first. They count when `position.json`, which says
how long the file is, has been replaced: one rename, atomic. Whatever is behind that length was never
committed; it is cut off when the directory is claimed again. So a kill at any moment leaves all lines of a
write, or none.

Source: POSIX.1-2017, rename(); Linux man-pages, fsync(2): a new name is durable when its directory is synced.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cdc.errors import LeaseLost, OperatorError, TransientError

POSITION, LOCK = "position.json", "lock"
_OPERATORS = frozenset(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.ENAMETOOLONG)
)
"""Errors that do not pass by themselves; a full disk may."""


@dataclass(frozen=True)
class Position:
    """What a directory says of itself: the content of `position.json`.

    Args:
        target: tells the directory from others.
        staging: which staging database writes it; None before the first.
        staged_seq: all staged rows up to it are written.
        fencing_token: of the holder that wrote last.
        writes: writes committed that had a line.
        file: number of the file that is written.
        size: its committed bytes; what is behind them does not count.
    """

    target: str
    staging: str | None = None
    staged_seq: int = 0
    fencing_token: int = 0
    writes: int = 0
    file: int = 1
    size: int = 0


def rows_file(directory: Path, number: int) -> Path:
    """One of the files with lines."""
    return directory / f"rows-{number:06d}.jsonl"


def free_number(directory: Path) -> int:
    """Number of the first file that was never written."""
    return max((int(path.stem[5:]) for path in directory.glob("rows-*.jsonl")), default=0) + 1


def look(directory: Path) -> Position | None:
    """What a directory says; None before its first use.

    Raises:
        OperatorError: it cannot be read, or `position.json` is not ours.
    """
    with file_errors(directory):
        try:
            text = (directory / POSITION).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            return Position(**json.loads(text))
        except (TypeError, ValueError) as exc:
            raise OperatorError(
                f"{directory / POSITION}: not a position that this release wrote",
                hint="restore the file, or give the system a directory of its own",
            ) from exc


class Folder:
    """A directory as one process uses it. What reads or writes it is called within `locked`.

    Args:
        directory: made if it is missing, its parent is not.

    Attributes:
        position: what this process knows of it.

    Raises:
        TransientError: another process is writing it.
        OperatorError: it cannot be made or written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = self._rows = -1
        try:
            with file_errors(directory):
                directory.mkdir(exist_ok=True)
                self._lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o640)
            with self.locked():
                found = look(directory)
                self.position = found or Position(str(uuid.uuid4()), file=free_number(directory))
                if found is None:
                    self._replace(self.position)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out, as long as the file system's locks hold between them.

        Raises:
            TransientError: another process is writing.
        """
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise TransientError(
                f"{self._directory}: another process is writing it",
                hint="give each system a directory of its own; a former process ends by itself",
            ) from exc
        try:
            yield
        finally:
            if self._lock >= 0:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def claim(self, token: int, staging: str | None) -> None:
        """Write under this token from now on; what was not committed is cut off.

        Raises:
            LeaseLost: a later holder has claimed the directory.
            OperatorError: a file is shorter than the position says.
        """
        found = look(self._directory) or self.position
        if found.fencing_token > token:
            raise self._lost(found, token)
        self.position = replace(found, fencing_token=token, staging=staging or found.staging)
        if self.position != found:
            self._replace(self.position)
        self._open_rows()

    def append(self, lines: bytes) -> None:
        """Write lines behind what counts and make them durable; they do not count before `commit`.

        Raises:
            LeaseLost: a later holder has claimed the directory.
            TransientError: another process has written it since; open it again.
        """
        self.require_ours()
        with file_errors(self._directory):
            offset, view = self.position.size, memoryview(lines)
            while view:
                written = os.pwrite(self._rows, view, offset)
                offset, view = offset + written, view[written:]
            os.fsync(self._rows)

    def commit(self, position: Position) -> None:
        """Have everything appended count, and the position be this one; see `append`."""
        self.require_ours()
        ended = position.file != self.position.file
        self._replace(position)
        self.position = position
        if ended:
            self._open_rows()

    def require_ours(self) -> None:
        """Make sure that no other process has claimed or written the directory since; see `append`."""
        found = look(self._directory)
        if found is not None and found.fencing_token > self.position.fencing_token:
            raise self._lost(found, self.position.fencing_token)
        if found != self.position:
            raise TransientError(
                f"{self._directory}: written by another process", hint="run: ccbridge targets show"
            )

    def close(self) -> None:
        """Close the files. Safe to call twice."""
        for descriptor in (self._rows, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._rows = self._lock = -1

    def _lost(self, found: Position, token: int) -> LeaseLost:
        return LeaseLost(
            f"{self._directory}: claimed under token {found.fencing_token}, this process holds token {token}",
            hint="another process writes now; this one may be started again as its standby",
        )

    def _open_rows(self) -> None:
        path = rows_file(self._directory, self.position.file)
        with file_errors(self._directory):
            if self._rows >= 0:
                os.close(self._rows)
            self._rows = os.open(path, os.O_WRONLY | os.O_CREAT, 0o640)
            size = os.fstat(self._rows).st_size
            if size < self.position.size:
                raise OperatorError(
                    f"{path}: {size} bytes, expected {self.position.size} or more: lines are lost",
                    hint="restore the directory; or, to have every row written into a new file, remove "
                    f"{self._directory / POSITION} and run: ccbridge targets bind",
                )
            os.ftruncate(self._rows, self.position.size)
            os.fsync(self._rows)
            self._sync_directory()

    def _replace(self, position: Position) -> None:
        made = self._directory / f"{POSITION}.new"
        with file_errors(self._directory):
            with made.open("w", encoding="utf-8") as file:
                json.dump(asdict(position), file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(made, self._directory / POSITION)
            self._sync_directory()

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def file_errors(directory: Path) -> Iterator[None]:
    """Turn errors of the operating system into ours."""
    try:
        yield
    except OSError as exc:
        text = f"{exc.filename or directory}: {exc.strerror or type(exc).__name__}"
        if exc.errno in _OPERATORS:
            raise OperatorError(text, hint=f"make {directory} writable for the service's user") from exc
        raise TransientError(text, hint=f"check the file system of {directory}") from exc
