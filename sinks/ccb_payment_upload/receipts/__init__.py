"""Receipts of recharges: made before anything is sent, followed until CC&B posted them.

Start at `store`; `recharges` says which there should be, `progress` follows CC&B's own tables, `versions`
writes the entity, `overview` counts them. Knows nothing of CC&B's upload. May use `cdc.staging`.
"""

__all__ = ["lost", "overview", "store"]
