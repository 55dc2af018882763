"""A rule to start from, made of a table as its database describes it: for `ccbridge rules new`."""

from __future__ import annotations

from collections.abc import Iterator

from cdc.changes import SourceTable, TableName
from cdc.config import Settings
from cdc.errors import ConfigurationError, RuleErrors
from cdc.flows import wiring
from cdc.kinds import KINDS
from cdc.ports import ReaderOpening
from cdc.rule_set import load_rules
from mapping_rules import RuleSet, shipped_sets
from mapping_rules.starting import rule_for, snake


def new_rule(settings: Settings, table: str, *, system: str | None, entity: str | None) -> list[str]:
    """Write an entity and an inbound rule into the configured rule set.

    Args:
        settings: the configuration; `rules.path` is a folder.
        table: `table` or `schema.table`, as its database spells it.
        system: where it is; None to look in every system.
        entity: name of the entity; None for one made of the table's name.

    Returns:
        The files that were written.

    Raises:
        ConfigurationError: the rule set is a shipped one, the table is nowhere or in several systems, has no
            primary key, or a file exists.
        CcbridgeError: a database cannot be read.
    """
    if settings.rules.path in shipped_sets():
        raise ConfigurationError(
            [f"rules.path: {settings.rules.path} is a shipped rule set, which must not be changed"],
            hint="run: ccbridge rules init my_rules, and set rules.path to that folder",
        )
    rule_set = load_rules(settings)
    found = list(_found(settings, rule_set, table, system))
    if len(found) != 1:
        where = ", ".join(f"{name} ({one.name})" for name, one in found) or "no system"
        raise ConfigurationError(
            [f"table {table}: found in {where}, expected one"],
            hint="write the name as the database spells it, with its schema, and give --system",
        )
    name, described = found[0]
    try:
        files = rule_for(
            name,
            described,
            entity=entity or snake(described.name.name),
            schema=rule_set.systems[name].schema,
            taken=rule_set.files,
        )
    except ValueError as exc:
        raise ConfigurationError([str(exc)], hint="give another --entity, or write the rule by hand") from exc
    folder = settings.rules.folder
    for path, text in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    try:
        load_rules(settings)
    except RuleErrors as exc:
        exc.hint = "correct the files just written, or remove them"
        raise
    return [str(folder / path) for path in files]


def _found(
    settings: Settings, rule_set: RuleSet, table: str, only: str | None
) -> Iterator[tuple[str, SourceTable]]:
    """Systems that have the table, with its description."""
    if only is not None and only not in rule_set.systems:
        raise ConfigurationError(
            [f"no system {only!r} in the rule set"], hint=f"its systems: {', '.join(rule_set.systems)}"
        )
    for name in (only,) if only is not None else rule_set.systems:
        system = settings.systems.get(name)
        if system is None:
            continue
        schema, _, bare = table.rpartition(".")
        asked = TableName(schema or rule_set.systems[name].schema or "public", bare)
        kind = KINDS[system.kind]
        if not kind.readers:
            continue
        described_by = system.model_copy(update={"reader": next(iter(kind.readers))})
        reader = wiring.reader_of(described_by, ReaderOpening(name, described_by, [asked], {}))
        try:
            described = reader.describe().get(asked)
        finally:
            reader.close()
        if described is not None:
            yield name, described
