"""Tables read as of an SCN, beside the redo.

`snapshot` is the first load and the point where the stream takes over; `table_reader` reads ranges of keys
by `range_queries`, to compare them. May use `lobs`, `tables`, `mining` and `redo_sql`.
"""

__all__ = ["range_queries", "snapshot"]
