"""Rows of the redo put together to transactions, undone work taken out, long ones kept on disk.

Start at `assembly`; `events` are what it produces, `undo` cancels rows that were rolled back, `spill` and
`open_transactions` hold what is open. May use: `mining`, for the rows.
"""

__all__ = [
    "assembly",
    "events",
    "lob_filter",
    "missed_ends",
    "open_transaction_age",
    "open_transactions",
    "transaction",
    "undo",
]
