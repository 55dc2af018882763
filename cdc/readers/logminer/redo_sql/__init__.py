"""SQL_REDO and SQL_UNDO to columns, and redo columns to canonical text. No connection.

Start at `row_images`; `scanner` and `statements` read any text strictly, `templates` reads many rows of one
form at once, `values` and `formats` turn literals into canonical text. May use:
the vocabulary only.
"""

__all__ = [
    "blocks",
    "canonical_columns",
    "charsets",
    "redo_values",
    "row_images",
    "scanner",
    "statements",
    "values",
]
