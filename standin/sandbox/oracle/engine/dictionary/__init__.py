"""The views that describe the database: ALL_, USER_, DBA_ and CDB_ ones, and V$.

`all_views` lists them. Each is a declaration and what yields its rows; `families` declares three at once.
Uses `logminer`.
"""

__all__ = ["all_views"]
