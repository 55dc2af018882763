"""All that the payment upload sends to CC&B's database, for those who try it before it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cdc.config import OracleSystem
from cdc.oracle.apply_log import apply_log
from cdc.ports import OracleStatements
from sinks.ccb_payment_upload.ccb import ouaf
from sinks.ccb_payment_upload.ccb.call import UploadCall
from sinks.ccb_payment_upload.ccb.tables import NEEDED, UploadTables

if TYPE_CHECKING:
    import oracledb


def _fixed() -> Iterator[tuple[str, str]]:
    yield "ouaf.describe", ouaf.describe_statement(len(NEEDED))


def _of_site(cursor: oracledb.Cursor, settings: OracleSystem) -> Iterator[tuple[str, str]]:
    return of_tables(UploadTables(cursor, settings.owner), settings)


def of_tables(upload: UploadTables, settings: OracleSystem) -> Iterator[tuple[str, str]]:
    """Statements made for the upload tables of a release."""
    for name, columns in NEEDED.items():
        yield f"among {name}", ouaf.among_statement(upload.owner, name, columns[0], 1)
    call = UploadCall(upload.owner, upload.tables, apply_log(settings))
    for number, text in enumerate((*upload.statements(), *call.statements()), 1):
        yield f"upload {number}", text


_SENDING = ("ouaf", "tables", "call", "lookup", "checks", "upload")
STATEMENTS = OracleStatements(
    name="payment upload",
    modules=tuple(f"{__package__}.{name}" for name in _SENDING),
    fixed=_fixed,
    of_site=_of_site,
)
