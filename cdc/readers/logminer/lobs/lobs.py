"""The value of one LOB while writes and trims are applied to it.

Offsets count from 1, in UTF-16 units for CLOB and bytes for BLOB; a gap is filled with blanks or zero
bytes. A piece of a CLOB may come as hexadecimal digits. Where the value before is not known, only what
was written from the beginning on is, until a trim says where the value ends.
"""

from __future__ import annotations

from cdc.readers.logminer.redo_sql.blocks import LobText
from cdc.readers.logminer.redo_sql.redo_values import Hex, RedoSyntaxError

_BLANK = " ".encode("utf-16-le")


class LobValue:
    """A LOB's value as far as the redo tells it.

    Args:
        current: the value before, text of a CLOB or hexadecimal digits of a BLOB; None if it is not known.
        binary: it is a BLOB.
        charset: Python codec of hexadecimal CLOB pieces.
    """

    def __init__(self, current: str | None, *, binary: bool, charset: str = "utf-8") -> None:
        self._binary, self._charset = binary, charset
        self._unit, self._filler = (1, b"\0") if binary else (2, _BLANK)
        self._known = bytearray(self._raw(current) if current else b"")
        self._continues = current is None

    def apply(self, operation: LobText) -> None:
        """Apply the writes and the trim of one row.

        Raises:
            RedoSyntaxError: hexadecimal digits that are not bytes or not text.
        """
        for write in operation.writes:
            if write.data is None:
                continue
            piece = self._raw(write.data)
            start = len(self._known) if write.offset < 0 else (write.offset - 1) * self._unit
            missing = (start - len(self._known)) // self._unit
            if self._continues and (write.offset < 0 or missing > 0):
                continue  # it lies in the part that is not known
            self._known += self._filler * max(missing, 0)
            self._known[start : start + len(piece)] = piece
        if operation.trim is not None and len(self._known) >= operation.trim * self._unit:
            del self._known[operation.trim * self._unit :]
            self._continues = False

    def forget(self) -> None:
        """Nothing is known any more."""
        self._known.clear()
        self._continues = True

    @property
    def value(self) -> str | None:
        """Text of a CLOB or hexadecimal digits of a BLOB; None if it is not known.

        Raises:
            RedoSyntaxError: half a surrogate pair.
        """
        if self._continues:
            return None
        if self._binary:
            return self._known.hex()
        try:
            return self._known.decode("utf-16-le")
        except UnicodeDecodeError as exc:
            raise RedoSyntaxError("half a surrogate pair in a LOB", exc.start // 2) from exc

    def _raw(self, data: str | Hex) -> bytes:
        try:
            if isinstance(data, Hex):
                raw = bytes.fromhex(data.digits)
                return raw if self._binary else raw.decode(self._charset).encode("utf-16-le")
            if self._binary:
                return bytes.fromhex(data)
            return data.encode("utf-16-le", "surrogatepass")
        except ValueError as exc:
            raise RedoSyntaxError("LOB piece is not text or not bytes", 0) from exc
