"""The statements of a write, laid over a target table: cast, compare under lock, write, report.

Start at `layout`, then `comparison` and `writing`; `pairs` says which kinds go into which types. May use:
the vocabulary and `cdc.postgres`.
"""

__all__ = ["casting", "comparison", "layout", "pairs", "rejections", "target_tables", "writing"]
