"""Names that a rule set may not give: tables and columns of ccbridge's own, and entities that sinks make."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from mapping_rules.language.extension import rule_extensions
from mapping_rules.language.model import Entity


@cache
def built_in() -> Mapping[str, Entity]:
    """Entities whose rows a sink makes itself: outbound rules may read them, no rule set defines them."""
    return {entity.name: entity for extension in rule_extensions() for entity in extension.entities}


@cache
def reserved_tables() -> frozenset[str]:
    """Names of ccbridge's own staging tables; no entity may take one."""
    return _OWN_TABLES | built_in().keys()


_OWN_TABLES = frozenset(
    {
        "change",
        "batch",
        "delivery",
        "dead_letter",
        "checkpoint",
        "lease",
        "rule_set",
        "operator_action",
        "conflict",
        "resync_run",
        "resync_difference",
        "control_total",
        "alembic_version",
        "target_binding",
        "installation",
    }
)
RESERVED_COLUMNS = frozenset(
    {
        "source_system",
        "source_position",
        "source_ordinal",
        "operation",
        "committed_at",
        "staged_at",
        "rule_set_id",
        "staged_seq",
        "tombstone",
        "superseded_seq",
        "valid_from",
        "valid_to",
        "absent",
    }
)
"""Columns every staged row carries besides those of its entity."""
