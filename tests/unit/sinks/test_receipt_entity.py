"""The entity `receipt` that rules may read is the table that the payment upload keeps."""

from __future__ import annotations

from cdc.staging.schema.entities import sql_type
from cdc.staging.schema.tables import fixed_tables
from sinks.ccb_payment_upload.receipts.tables import COLUMNS
from sinks.ccb_payment_upload.rules import RECEIPT


def test_rules_read_receipts_as_the_table_has_them() -> None:
    """A column in one place only would be an error of the server in the first delivery that reads it."""
    assert tuple(RECEIPT.columns) == COLUMNS
    stored = fixed_tables().tables["staging.receipt"].columns
    for name, column in RECEIPT.columns.items():
        expected = sql_type(column.type)
        assert repr(stored[name].type) == repr(expected() if isinstance(expected, type) else expected)
