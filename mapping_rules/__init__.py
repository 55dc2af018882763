"""The rule language: source columns to entities to target columns.

`load` reads a rule set; `compile_inbound` turns its inbound rules into programs over change frames,
`compile_outbound` its outbound rules into SQL over staging. `docs/rules.md` explains the language.
Nothing here imports a database driver.
"""

from __future__ import annotations

from mapping_rules.checks.source_checks import check_source, check_target, unmapped_columns
from mapping_rules.compiled.inbound import (
    InboundProgram,
    Mapped,
    captured_tables,
    columns_read,
    compile_inbound,
    ignored_columns,
)
from mapping_rules.compiled.outbound import OutboundProgram, compile_outbound
from mapping_rules.golden import GoldenResult, run_golden
from mapping_rules.language.model import Entity, EntityColumn, EntityType, Inbound, Kind, Outbound, RuleSet
from mapping_rules.lineage import LineageRow, lineage
from mapping_rules.load import from_files, load
from mapping_rules.rule_files import shipped_sets

__all__ = [
    "Entity",
    "EntityColumn",
    "EntityType",
    "GoldenResult",
    "Inbound",
    "InboundProgram",
    "Kind",
    "LineageRow",
    "Mapped",
    "Outbound",
    "OutboundProgram",
    "RuleSet",
    "captured_tables",
    "check_source",
    "check_target",
    "columns_read",
    "compile_inbound",
    "compile_outbound",
    "from_files",
    "ignored_columns",
    "lineage",
    "load",
    "run_golden",
    "shipped_sets",
    "unmapped_columns",
]
