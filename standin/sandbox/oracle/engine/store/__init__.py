"""Rows and redo: versions of rows by SCN, keys, transactions, the journal and its threads.

Start at `storage`, which has the one lock; `tables` has what is stored, `journal` what is mined. Uses
`values`.
"""

__all__ = ["journal", "redo_threads", "storage", "tables", "transactions"]
