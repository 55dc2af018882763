"""From committed transactions to batches of changes: the loop of the reader.

Start at `stream` (the loop), then `batch_cutter` (where a batch ends, and what it resumes from) and `batches`
(rows to columns). May use every room but `checks`, `flashback` and `probing`.
"""

__all__ = ["batches", "stream"]
