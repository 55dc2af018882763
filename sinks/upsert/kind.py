"""How the upsert sink is opened and checked: its entry in `cdc.kinds`."""

from __future__ import annotations

from collections.abc import Sequence

from cdc.config import PostgresSystem, Settings
from cdc.ports import Finding, SinkKind, SinkOpening
from mapping_rules import OutboundProgram
from sinks.upsert.checks import target_checks
from sinks.upsert.sink import UpsertSink


def _open(opening: SinkOpening) -> UpsertSink:
    lease = opening.lease
    token, holder = (lease.token, lease.session) if lease is not None else (0, None)
    return UpsertSink(opening.system, opening.target, fencing_token=token, holder=holder)


def _findings(settings: Settings, system: str, programs: Sequence[OutboundProgram]) -> list[Finding]:
    return target_checks.findings(system, settings.system(system, PostgresSystem), programs)


UPSERT = SinkKind(_open, _findings)
