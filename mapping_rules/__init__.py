"""The rule language: source columns to entities to target columns.

`load` reads a rule set; `compile_inbound` turns its inbound rules into programs over change frames,
`compile_outbound` its outbound rules into SQL over staging. `docs/rules.md` explains the language.
Nothing here imports a database driver.
"""

from __future__ import annotations

from mapping_rules.inbound import InboundProgram, Mapped, captured_tables, compile_inbound, ignored_columns
from mapping_rules.load import from_files, load, shipped_sets
from mapping_rules.model import Entity, EntityColumn, EntityType, Inbound, Kind, Outbound, RuleSet

__all__ = [
    "Entity",
    "EntityColumn",
    "EntityType",
    "Inbound",
    "InboundProgram",
    "Kind",
    "Mapped",
    "Outbound",
    "RuleSet",
    "captured_tables",
    "compile_inbound",
    "from_files",
    "ignored_columns",
    "load",
    "shipped_sets",
]
