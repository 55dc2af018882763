"""Which tables are captured, as which version of the dictionary, and how their rows are selected.

Start at `captured`; `dictionary` asks Oracle for tables, columns and keys, `object_numbers` tells whose a
row is that names no table. May use: `transactions`, `mining`, `redo_sql`.
"""

__all__ = ["captured", "dictionary", "selected"]
