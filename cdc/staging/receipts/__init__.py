"""Receipts of recharges: made before anything is sent, followed until CC&B posted them.

Start at `store`; `recharges` says which there should be, `progress` follows CC&B's own tables, `versions`
writes the entity. May use: `schema`.
"""

__all__ = ["lost", "store"]
