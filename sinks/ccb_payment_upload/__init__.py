"""Recharges into CC&B through its documented payment upload staging, each at most once.

Start at `upload`; `tables` is one transmission in CC&B's tables, `ouaf` CC&B's conventions for values,
`checks` what is looked at before.
"""

__all__ = ["call", "ouaf", "tables", "upload"]
