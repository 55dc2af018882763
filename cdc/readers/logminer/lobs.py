"""LOB writes and trims applied to a value.

Offsets count from 1, in characters for CLOB and bytes for BLOB; a gap is filled with blanks or
zero bytes. A piece of a CLOB may come as hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Iterable

from cdc.readers.logminer.blocks import LobText
from cdc.readers.logminer.cells import Hex, RedoSyntaxError


def applied(current: str, operations: Iterable[LobText], *, charset: str = "utf-8") -> str:
    """The value of a LOB column after `operations`.

    Args:
        current: value before, text of a CLOB or hexadecimal digits of a BLOB.
        operations: writes and trims in order.
        charset: Python codec of hexadecimal CLOB pieces.

    Raises:
        RedoSyntaxError: hexadecimal digits that are no bytes, or no text.
    """
    for operation in operations:
        step = 2 if operation.binary else 1
        filler = "00" if operation.binary else " "
        for write in operation.writes:
            piece = _piece(write.data, binary=operation.binary, charset=charset)
            start = len(current) if write.offset < 0 else (write.offset - 1) * step
            missing = (start - len(current)) // step
            current = current + filler * max(missing, 0)
            current = current[:start] + piece + current[start + len(piece) :]
        if operation.trim is not None:
            current = current[: operation.trim * step]
    return current


def _piece(data: str | Hex | None, *, binary: bool, charset: str) -> str:
    if data is None:
        return ""
    try:
        if isinstance(data, Hex):
            return bytes.fromhex(data.digits).hex() if binary else bytes.fromhex(data.digits).decode(charset)
        return data.encode(charset).hex() if binary else data
    except ValueError as exc:
        raise RedoSyntaxError("LOB piece is no text or no bytes", 0) from exc
