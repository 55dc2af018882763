"""Why a row is rejected: the stable codes of `Mapped.rejected`, explained in `docs/rules.md`."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Codes for operators and programs; the reason names column and expectation."""

    NOT_A_NUMBER = "not_a_number"
    NUMBER_TOO_FINE = "number_too_fine"
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    UNKNOWN_SWITCH = "unknown_switch"
    BAD_DATE = "bad_date"
    BAD_TIMESTAMP = "bad_timestamp"
    NONEXISTENT_LOCAL_TIME = "nonexistent_local_time"
    UNKNOWN_LOOKUP = "unknown_lookup"
    NUL_CHARACTER = "nul_character"
    NULL_KEY = "null_key"
    VALUE_TOO_LONG = "value_too_long"
    WHERE_UNKNOWN = "where_unknown"
    VALUE_NOT_IN_LOG = "value_not_in_log"
    SQL_FAILED = "sql_failed"
    TRUNCATE = "truncate"
    UNREADABLE_VALUE = "unreadable_value"
