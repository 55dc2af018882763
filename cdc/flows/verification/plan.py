"""What is compared: which tables, by which digests, and which cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mapping_rules
from cdc.changes import SourceTable, TableName
from cdc.config import Settings
from cdc.digests.definition import Algorithm, RowDigest, row_digest
from cdc.errors import ConfigurationError, OperatorError, SourceChanged, snapshot_hint
from cdc.flows import wiring
from cdc.kinds import KINDS
from cdc.ports import TableReader
from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors
from cdc.staging.checkpoints import Checkpoints, StoredCheckpoint
from cdc.staging.source_rows.compared import counted_rows
from cdc.staging.source_tables import SourceTables, StoredTable
from mapping_rules import RuleSet


@dataclass(frozen=True)
class Scope:
    """What was asked for; nothing named means all.

    Args:
        systems: sources, by their names in the configuration.
        tables: as `schema.table`, or the table's name alone.
        keys: single rows of the only table: the values of the key columns, joined by commas.
    """

    systems: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def as_json(self) -> dict[str, list[str]]:
        """As staging.resync_run has it: equal scopes are equal texts."""
        return {name: sorted(getattr(self, name)) for name in ("systems", "tables", "keys")}


@dataclass(frozen=True)
class PlannedTable:
    """One table of a comparison.

    Args:
        system: its source.
        name: the table.
        digest: of its rows; None where it is not compared, `reason` says why.
        source_rows: by the source's own estimate; None where it has none.
        staged_rows: as of the last comparison; None before the first one.
        left_out: large columns that rules read and that are not compared.
    """

    system: str
    name: TableName
    digest: RowDigest | None
    source_rows: int | None
    staged_rows: int | None
    reason: str = ""
    left_out: tuple[str, ...] = ()


def chosen_systems(rule_set: RuleSet, scope: Scope) -> list[str]:
    """The sources that are compared.

    Raises:
        ConfigurationError: one that is named is not a source.
    """
    known = wiring.sources(rule_set)
    wrong = [
        f"system {name}: not a source, expected one of {', '.join(known)}"
        for name in scope.systems
        if name not in known
    ]
    if wrong:
        raise ConfigurationError(wrong)
    return [name for name in known if not scope.systems or name in scope.systems]


def plan_system(
    settings: Settings, rule_set: RuleSet, reader: TableReader, staging: Connection, scope: Scope
) -> list[PlannedTable]:
    """The tables of one source.

    Args:
        settings: the configuration.
        rule_set: says which columns are compared.
        reader: of the source.
        staging: with no transaction open.
        scope: what was asked for.

    Raises:
        SourceChanged: the source is not the one that staging is made of.
        OperatorError: nothing of the source is staged yet.
    """
    system = reader.system
    with postgres_errors(f"staging of {system}"), staging.transaction():
        checkpoint = Checkpoints(staging).load(system)
        states = SourceTables(staging, system).load()
        counted = counted_rows(staging, system)
    if checkpoint is None or not checkpoint.snapshot_complete:
        raise OperatorError(
            f"{system}: its first snapshot is not staged yet",
            hint="start ccbridge run: it reads every table first",
        )
    _require_same_source(system, checkpoint, reader.identity())
    read = mapping_rules.columns_read(rule_set, system)
    described, estimates = reader.describe(), reader.estimates()
    kind = KINDS[settings.systems[system].kind].texts
    algorithm = Algorithm(settings.verify.digest)
    planned = []
    for name in sorted(read):
        if scope.tables and not {str(name), name.name} & set(scope.tables):
            continue
        reason = _not_compared(described.get(name), states.get(name))
        digest = None
        if not reason:
            digest = row_digest(described[name], read[name].names, kind=kind, algorithm=algorithm)
        planned.append(
            PlannedTable(
                system,
                name,
                digest,
                estimates.get(name),
                counted.get(name),
                reason,
                digest.left_out if digest else (),
            )
        )
    return planned


def require_tables(planned: Sequence[PlannedTable], scope: Scope) -> None:
    """Make sure that every table that was named is there.

    Raises:
        ConfigurationError: one is not, or keys are given for more than one table.
    """
    names = {text for table in planned for text in (str(table.name), table.name.name)}
    wrong = [f"table {text}: not captured by these systems" for text in scope.tables if text not in names]
    if scope.keys and len(planned) != 1:
        wrong.append(
            f"keys: expected one table for them, found {len(planned)}; name it with --system and --tables"
        )
    if wrong:
        raise ConfigurationError(wrong)


def personal_columns(rule_set: RuleSet, system: str) -> Mapping[TableName, frozenset[str]]:
    """Source columns, by table, that entity columns with personal data are made of."""
    found: dict[TableName, set[str]] = {}
    for rule in rule_set.rules_of(system):
        columns = rule_set.entities[rule.entity].columns
        sources = {
            name for to, column in rule.columns.items() if columns[to].personal for name in column.sources
        }
        found.setdefault(rule.table, set()).update(sources)
    return {name: frozenset(columns) for name, columns in found.items()}


def _not_compared(table: SourceTable | None, stored: StoredTable | None) -> str:
    if table is None:
        return "the source does not have it, or may not be read"
    if not table.key:
        return "it has no primary key"
    if stored is None:
        return "it was never staged"
    if stored.state == "stopped":
        return f"it is no longer read: {stored.error_code}"
    return "" if stored.state == "read" else "it is being read again"


def _require_same_source(system: str, checkpoint: StoredCheckpoint, found: Mapping[str, str]) -> None:
    changed = {
        name: f"{name} was {value}, is {found[name]}"
        for name, value in sorted(checkpoint.identity.items())
        if name in found and found[name] != value
    }
    if changed:
        raise SourceChanged(
            f"{system}: not the source that staging is made of: {'; '.join(changed.values())}",
            changed=changed,
            hint=f"connect to the former database; or, if the change was meant, {snapshot_hint(system)}",
        )
