"""What DDL does to a captured table, as far as its text says.

Start at `statements`; `columns` is what an ALTER TABLE did to the columns. No connection. May use `redo_sql`.
"""

__all__ = ["columns", "statements"]
