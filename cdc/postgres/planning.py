"""Which ways of the planner are switched off: follow keys, whatever it believes of the tables.

A batch or a delivery touches some hundred rows of tables of any size, and finds each by an index. The planner
sees temporary tables without statistics, and in the first backlog entity tables that it takes for empty: it
would read a whole table for each key, or hash all of one for a few rows. With the other ways switched off the
time is that of the rows touched, however large the tables are. Where whole tables are compared, the session
takes a way back.

Source: PostgreSQL 17 manual, "Planner Method Configuration": a way that is off is still taken where there is
no other.
"""

from __future__ import annotations

from typing import Literal

Way = Literal["hashjoin", "mergejoin", "seqscan"]


def without(*ways: Way) -> str:
    """Statements: this session does without these ways."""
    return "; ".join(f"set enable_{way} = off" for way in ways)


def without_now(*ways: Way) -> str:
    """Columns for a select list: this transaction does without these ways, from its next statement on."""
    return ", ".join(f"set_config('enable_{way}', 'off', true)" for way in ways)


def again(*ways: Way) -> str:
    """Statements: this transaction takes these ways again."""
    return "; ".join(f"set local enable_{way} = on" for way in ways)
