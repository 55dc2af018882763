"""Versions of entity rows: made of mapped rows, merged by position, ended when a row is gone.

Start at `merge`; `versions` is pure, `snapshot_deletes` finds rows that went while nothing streamed. May
use: `schema`.
"""

__all__ = ["merge", "snapshot_deletes", "spool", "versions"]
