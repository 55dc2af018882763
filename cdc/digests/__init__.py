"""The digest of a source row, and its key as a text: computed alike wherever the row is.

`definition` says what the text of a row is. `frames` computes digests of texts that a reader gave, `postgres`
and `oracle` are SQL expressions over the live table of a source, and `postgres` has one over images of the
change log; all give the same number for the same row. `sort_key` is the key of a row as one text, ordered
alike everywhere. Nothing here connects to a database.
"""

__all__ = ["definition", "frames", "oracle", "postgres", "sort_key"]
