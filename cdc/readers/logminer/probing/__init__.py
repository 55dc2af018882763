"""What the LogMiner reader assumes of Oracle, and how each assumption is tried on a real database.

`assumptions` is the table; `workload` are the transactions made in a scratch schema, `recording` what the
redo showed of them, `replay` puts that through the reader; the `_checks` modules give the verdicts.
"""
