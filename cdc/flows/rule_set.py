"""The rule set that the configuration names. A module of its own: it needs no driver."""

from __future__ import annotations

import mapping_rules
from cdc.config import Settings
from mapping_rules import RuleSet


def load_rules(settings: Settings) -> RuleSet:
    """The configured rule set; unqualified CC&B tables are meant in the configured owner's schema.

    Raises:
        RuleFaults: every fault, with file, line and column.
    """
    owners = {name: system.owner for name, system in settings.oracle_systems().items()}
    return mapping_rules.load(settings.rules.path, schemas=owners)
