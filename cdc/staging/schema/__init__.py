"""The tables of staging: declared, created, extended, cut into partitions.

Start at `tables` (the fixed ones) and `entities` (one pair a rule-set entity); `migrate` brings them to this
release, `entity_ddl` to this rule set. May use: `mapping_rules`, for what an entity is.
"""

__all__ = ["entities", "migrate", "partitions", "tables"]
