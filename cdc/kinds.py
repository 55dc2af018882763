"""The kinds of system that there are, and what each one gives: the one place where a new one is registered.

Names only: what they stand for is imported when it is used, so the configuration knows the names of readers
and sinks without their drivers. `docs/add-a-sink.md` and `docs/add-a-reader.md` walk through one each.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class SystemKind:
    """One kind of system; every value is `module:name` of what is meant.

    Args:
        section: its section of the configuration, a `cdc.config.sections.SystemSection`.
        title: what it is, for the manual.
        readers: by the name in `reader`, the first one by default; functions from a `ReaderOpening` to a
            `ChangeReader`. None for a system that is only written.
        tables: function from a `ReaderOpening` to the `TableReader` of its tables, whichever reader reads its
            changes. None for a system that is only written.
        texts: whose notation the values of its readers have.
        sinks: by the name in an outbound rule's `sink`; each a `SinkKind`. None for one that is only read.
        checks: functions from the section to findings, for what readers and sinks do not look at.
        grants: function that yields the script of the rights that its user needs (`cdc.flows.checks.grants`).
        script: who runs the statements of findings: `psql`, `sqlplus`; empty where they are not SQL.
    """

    section: str
    title: str
    readers: Mapping[str, str] = field(default_factory=dict)
    tables: str | None = None
    texts: Literal["oracle", "postgres"] = "postgres"
    sinks: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[str, ...] = ()
    grants: str | None = None
    script: str = ""


KINDS: Mapping[str, SystemKind] = {
    "postgres": SystemKind(
        section="cdc.config.postgres:PostgresSystem",
        title="A PostgreSQL system",
        readers={
            "pgoutput": "cdc.readers.pgoutput.reader:open_reader",
            "debezium": "cdc.readers.debezium.reader:open_reader",
        },
        tables="cdc.readers.pgoutput.table_reader:open_table_reader",
        sinks={"upsert": "sinks.upsert.kind:UPSERT"},
        checks=("cdc.postgres.broad_rights:broad_rights",),
        script="psql",
    ),
    "oracle": SystemKind(
        section="cdc.config.oracle:OracleSystem",
        title="An Oracle system",
        readers={
            "logminer": "cdc.readers.logminer.reader:open_reader",
            "debezium": "cdc.readers.debezium.reader:open_reader",
        },
        tables="cdc.readers.logminer.flashback.table_reader:open_table_reader",
        texts="oracle",
        sinks={"ccb_payment_upload": "sinks.ccb_payment_upload.kind:PAYMENT_UPLOAD"},
        grants="cdc.flows.checks.grants:oracle_grants",
        script="sqlplus",
    ),
    "jsonl": SystemKind(
        section="sinks.jsonl.section:JsonlSystem",
        title="A directory of files with lines of JSON",
        sinks={"jsonl": "sinks.jsonl.kind:JSONL"},
    ),
}
"""By the value of `kind` in a system's section."""


@dataclass(frozen=True)
class Extension:
    """What a sink owns besides writing, for the rooms that know no sink; every value is `module:name`.

    Args:
        sections: classes of its settings by the section's name; a section that is there gets their keys.
        rules: its `mapping_rules.language.extension.RuleExtension`.
        tables: function that adds tables of its own to the metadata of schema `staging`.
        status: function from a session in staging and the settings to `cdc.ports.StatusPart`s.
        command: `typer.Typer` with verbs of its own.
        grants: function from the section of an Oracle target and a user to lines of the script of rights.
        statements: its `cdc.ports.OracleStatements`.
    """

    sections: Mapping[str, str] = field(default_factory=dict)
    rules: str | None = None
    tables: str | None = None
    status: str | None = None
    command: str | None = None
    grants: str | None = None
    statements: str | None = None


EXTENSIONS: Mapping[str, Extension] = {
    "ccb_payment_upload": Extension(
        sections={
            "payment_upload": "sinks.ccb_payment_upload.section:PaymentUpload",
            "status": "sinks.ccb_payment_upload.section:ReceiptAlarm",
        },
        rules="sinks.ccb_payment_upload.rules:RULES",
        tables="sinks.ccb_payment_upload.receipts.tables:add_tables",
        status="sinks.ccb_payment_upload.status:status",
        command="sinks.ccb_payment_upload.command:app",
        grants="sinks.ccb_payment_upload.ccb.grants:grants",
        statements="sinks.ccb_payment_upload.ccb.statements:STATEMENTS",
    ),
}
"""By the name in an outbound rule's `sink`; most sinks only write."""


def sink_names() -> tuple[str, ...]:
    """Every sink that an outbound rule may name."""
    return tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind.sinks))


def resolve(name: str) -> Any:
    """What `module:name` stands for.

    Raises:
        ImportError: a part that is optional is not installed.
    """
    return pkgutil.resolve_name(name)


def resolved(names: Iterable[str | None]) -> list[Any]:
    """What those names stand for that are given."""
    return [resolve(name) for name in names if name is not None]
