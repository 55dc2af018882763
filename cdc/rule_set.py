"""The rule set that the configuration names. A module of its own: it needs no driver."""

from __future__ import annotations

from pathlib import Path

import mapping_rules
from cdc.config import Rules, Settings
from mapping_rules import RuleSet


def load_rules(settings: Settings) -> RuleSet:
    """The configured rule set; unqualified tables are meant in the system's configured schema.

    Raises:
        RuleErrors: every error, with file, line and column.
    """
    schemas = {name: one.default_schema for name, one in settings.systems.items() if one.default_schema}
    return mapping_rules.load(rules_path(settings.rules), schemas=schemas)


def rules_path(rules: Rules) -> str | Path:
    """What `mapping_rules.load` takes: the name of a shipped rule set, or a folder."""
    return rules.path if rules.path in mapping_rules.shipped_sets() else rules.folder
