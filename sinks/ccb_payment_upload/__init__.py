"""Recharges into CC&B through its documented payment upload staging, each at most once.

Start at `sink`: a write makes receipts in staging, a poll sends them. `upload` is the side that talks to
CC&B, `known` compares both sides before anything is sent, `tables` is one transmission in CC&B's tables,
`ouaf` CC&B's conventions for values, `checks` what is looked at before.
"""

__all__ = ["call", "kind", "ouaf", "tables", "upload"]
