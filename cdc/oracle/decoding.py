"""Text that the database sends and that is not text: bytes which are not UTF-8.

A client with a wrong NLS_LANG leaves such bytes in VARCHAR2 columns, and any column may hold them: SQL_REDO
carries all columns of a row, the text of DDL what its author typed. The driver would raise UnicodeDecodeError
for the whole array of rows. Here each such byte becomes an escape, so the array is read, and who needs the
value sees that it could not be.

Source: python-oracledb documentation, "Handling encoding errors"; Python codecs, error handlers.
"""

from __future__ import annotations

import codecs
import re

import oracledb

from cdc.changes import UNREADABLE

ESCAPED = "ccbridge-escape"
"""Name of the error handler, for `bytes.decode`."""
_TEXTS = frozenset(
    (
        oracledb.DB_TYPE_VARCHAR,
        oracledb.DB_TYPE_CHAR,
        oracledb.DB_TYPE_LONG,
        oracledb.DB_TYPE_NVARCHAR,
        oracledb.DB_TYPE_NCHAR,
        oracledb.DB_TYPE_LONG_NVARCHAR,
    )
)
_FETCHED_WHOLE = {
    oracledb.DB_TYPE_CLOB: oracledb.DB_TYPE_LONG,
    oracledb.DB_TYPE_NCLOB: oracledb.DB_TYPE_LONG_NVARCHAR,
}
_ESCAPES = re.compile(rf"(?:{UNREADABLE}\\x[0-9a-f]{{2}})+")


def _escaped(exc: UnicodeError) -> tuple[str, int]:
    r"""Error handler of a codec: each byte that is not text as U+FDD0 and `\xhh`."""
    if not isinstance(exc, UnicodeDecodeError):
        raise exc
    return "".join(f"{UNREADABLE}\\x{byte:02x}" for byte in exc.object[exc.start : exc.end]), exc.end


codecs.register_error(ESCAPED, _escaped)


def lenient_text(cursor: oracledb.Cursor, metadata: oracledb.FetchInfo) -> oracledb.Var | None:
    """Output type handler: text columns decoded without an error, whatever their bytes are."""
    kind = _FETCHED_WHOLE.get(metadata.type_code, metadata.type_code)
    if kind not in _TEXTS:
        return None
    size = metadata.internal_size or 0
    return cursor.var(kind, size, arraysize=cursor.arraysize, encoding_errors=ESCAPED)


def healed(text: str) -> str:
    """A text that was joined of pieces: characters that were cut between two pieces are whole again."""
    return _ESCAPES.sub(_rejoined, text) if UNREADABLE in text else text


def _rejoined(escapes: re.Match[str]) -> str:
    raw = bytes.fromhex("".join(escapes.group().split(f"{UNREADABLE}\\x")))
    return raw.decode("utf-8", ESCAPED)
