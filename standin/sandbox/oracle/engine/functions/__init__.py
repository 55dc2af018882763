"""Compiled values: expressions as functions of a row, conversions, and the functions of SQL by name.

Start at `expressions`, then `registered`, where each function enters itself. Uses `state`.
"""

__all__ = [
    "conversion_functions",
    "conversions",
    "expressions",
    "number_functions",
    "raw_functions",
    "registered",
    "system_functions",
    "text_functions",
    "time_arithmetic",
    "time_functions",
]
