"""Redo of CLOBs that do not fit their row: a locator block, then the pieces written through it."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.oracle.engine.journal import Record
from sandbox.oracle.engine.redo_text import Renderer

LOCATOR = 9
WRITE = 10
PIECE_CHARS = 2000
NAMES = {LOCATOR: "SELECT_LOB_LOCATOR", WRITE: "LOB_WRITE"}

_DECLARE = (
    "DECLARE \n loc_c CLOB; \n buf_c VARCHAR2(6156); \n loc_b BLOB; \n buf_b RAW(6156); \n"
    " loc_nc NCLOB; \n buf_nc NVARCHAR2(6156); \nBEGIN\n"
)


def lob_rows(renderer: Renderer, record: Record) -> Iterator[tuple[int, str]]:
    """Operation code and text of the rows behind an insert or update that writes long CLOBs."""
    for place, cell in renderer.long_lobs(record):
        column = renderer.shape.columns[place]
        if cell is None or record.after is None:
            continue
        name = f'"{column.name}" into loc_c from "{renderer.owner}"."{renderer.table}"'
        yield LOCATOR, f"{_DECLARE} select {name} where {renderer.key_conditions(record.after)} for update;"
        text = cell.decode()
        for start in range(0, len(text), PIECE_CHARS):
            piece = text[start : start + PIECE_CHARS]
            quoted = piece.replace("'", "''")
            yield (
                WRITE,
                f" buf_c := '{quoted}'; \n  dbms_lob.write(loc_c, {len(piece)}, {start + 1}, buf_c);\nEND;",
            )
