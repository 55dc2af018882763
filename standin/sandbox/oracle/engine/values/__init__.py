"""What values are: types, formats, zones, intervals and character sets.

Start at `sql_types`. Cells go in and come out; no session is known here. Uses `sql`.
"""

__all__ = ["character_sets", "formats", "intervals", "sql_types", "zones"]
