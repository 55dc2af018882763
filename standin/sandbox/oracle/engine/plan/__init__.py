"""Syntax to a plan: sources, joins, conditions, groups, windows, and the plans of what changes rows.

Start at `prepare`, which makes and keeps plans; `query` is the plan of a SELECT, `access` how rows are
reached. Uses `functions`.
"""

__all__ = ["access", "compiler", "dml", "prepare", "query"]
