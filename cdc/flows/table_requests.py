"""Asking the running replication to read single tables again: `ccbridge snapshot`.

The request is a mark in staging; the process that holds the lease sees it within seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from cdc.changes import TableName
from cdc.config import Settings
from cdc.errors import ConfigurationError, OperatorError, TableNotRead
from cdc.flows import wiring
from cdc.postgres.connect import connect
from cdc.postgres.errors import postgres_errors
from cdc.rule_set import load_rules
from cdc.staging.source_tables import SourceTables


def request_snapshot(settings: Settings, system: str, tables: Sequence[str]) -> list[TableName]:
    """Ask for tables of a source to be read again while replication continues.

    Args:
        settings: the configuration.
        system: name of the source.
        tables: as `schema.table`, or the table's name alone where one schema only has it.

    Returns:
        The tables asked for.

    Raises:
        ConfigurationError: no such source, or a name that is not one of its captured tables.
        TableNotRead: its reader cannot read single tables.
    """
    rule_set = load_rules(settings)
    if system not in wiring.sources(rule_set):
        known = ", ".join(wiring.sources(rule_set))
        raise ConfigurationError([f"system {system}: not a source, expected one of {known}"])
    reader = wiring.open_reader(settings, rule_set, system)
    reader.close()
    if not reader.can_read_tables:
        raise TableNotRead.alone(system, ", ".join(tables))
    with connect(settings.staging, application="ccbridge snapshot") as connection:
        states = SourceTables(connection, system)
        with postgres_errors("staging.source_table"), connection.transaction():
            stored = states.load()
            names = [_named(text, system, list(stored)) for text in tables]
            for name in names:
                states.request(name)
    return names


def _named(text: str, system: str, known: Sequence[TableName]) -> TableName:
    found = [name for name in known if text in (str(name), name.name)]
    if not known:
        raise OperatorError(
            f"{system}: no table was read yet", hint="start ccbridge run: it reads every table first"
        )
    if len(found) != 1:
        listed, error = ", ".join(map(str, found or known)), "ambiguous" if found else "not captured"
        raise ConfigurationError([f"table {text} of {system}: {error}, expected one of {listed}"])
    return found[0]
