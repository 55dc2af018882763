"""One text for one interval: its digits depend on the column, and on who writes it.

TO_CHAR, LogMiner and TO_DSINTERVAL pad the leading field and the fraction to the column's precision, or do
not. What is kept is `+1-02` and `-3 04:05:06.5`: a sign, no leading zeros, no zeros behind the fraction.

Source: Oracle Database SQL Language Reference 19c, "Interval Literals", TO_DSINTERVAL, TO_YMINTERVAL.
"""

from __future__ import annotations

import re

PLAIN_INTERVAL = r"^[+-](?:0|[1-9]\d*)(?:-(?:0\d|1[01])| (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d*[1-9])?)$"
_YEARS = re.compile(r"\s*([+-]?)0*(\d+)-(\d{1,2})\s*")
_DAYS = re.compile(r"\s*([+-]?)0*(\d+) +(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d*?)0*)?\s*")


def interval_text(text: str) -> str:
    """The canonical text of an interval; one of another form is left as it is."""
    if found := _YEARS.fullmatch(text):
        sign, years, months = found.groups()
        return f"{sign or '+'}{years}-{int(months):02d}"
    if found := _DAYS.fullmatch(text):
        sign, days, hours, minutes, seconds, fraction = found.groups()
        time = f"{int(hours):02d}:{int(minutes):02d}:{int(seconds):02d}"
        return f"{sign or '+'}{days} {time}" + (f".{fraction}" if fraction else "")
    return text
