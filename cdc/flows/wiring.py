"""Readers, sinks and flows by configuration: the one place that knows which class serves which system."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import mapping_rules
from cdc.config import OracleSystem, Settings
from cdc.errors import ConfigurationError
from cdc.flows.capture import Capture
from cdc.flows.deliver import Deliver
from cdc.flows.progress.state import FlowState
from cdc.flows.sources_found import SourcesFound
from cdc.flows.supervision import Flow
from cdc.flows.wake import Wake
from cdc.ports import ChangeReader, Finding, Sink
from cdc.postgres.connect import Connection, connect
from cdc.postgres.sessions import Holder
from cdc.readers.logminer.reader import LogMinerReader
from cdc.readers.pgoutput.reader import PgoutputReader
from cdc.staging.batches.stage import Stager
from cdc.staging.leases import Lease
from mapping_rules import OutboundProgram, RuleSet
from sinks.ccb_payment_upload.sink import PaymentUploadSink
from sinks.ccb_payment_upload.upload import CcbUpload
from sinks.upsert.sink import UpsertSink

Work = Callable[[Flow], None]


@dataclass(frozen=True)
class Context:
    """What the flows of one run share."""

    settings: Settings
    rule_set: RuleSet
    lease: Lease
    run_id: uuid.UUID
    state: FlowState
    wake: Wake
    found: SourcesFound

    def staging(self, application: str, *, autocommit: bool = False) -> Connection:
        """A session of its own in the staging database; see `cdc.postgres.connect`.

        Former holders of the lease that left a session behind lose it.
        """
        return connect(
            self.settings.staging,
            application=f"ccbridge {application}",
            autocommit=autocommit,
            holder=self.lease.session,
        )


def sources(rule_set: RuleSet) -> list[str]:
    """Systems that inbound rules read, by name."""
    return sorted({rule.system for rule in rule_set.inbound})


def targets(rule_set: RuleSet) -> list[str]:
    """Systems that outbound rules write, by name."""
    return sorted({rule.system for rule in rule_set.outbound})


def open_reader(
    settings: Settings, rule_set: RuleSet, system: str, holder: Holder | None = None
) -> ChangeReader:
    """The reader of a source system; it connects when first used.

    Raises:
        ConfigurationError: the reader's extra is not installed.
    """
    source = settings.systems[system]
    tables = mapping_rules.captured_tables(rule_set, system)
    if source.reader == "debezium":
        from cdc.readers.debezium import DebeziumReader  # the extra `debezium` is optional

        return DebeziumReader(system, source, tables)
    if isinstance(source, OracleSystem):
        return LogMinerReader(system, source, tables, mapping_rules.columns_read(rule_set, system))
    return PgoutputReader(system, source, tables, mapping_rules.columns_read(rule_set, system), holder)


def programs(settings: Settings, rule_set: RuleSet, system: str) -> tuple[OutboundProgram, ...]:
    """The compiled outbound rules of a target system, parents first.

    Raises:
        ConfigurationError: a rule names a sink that the system's kind does not have.
    """
    target = settings.systems[system]
    fitting = "ccb_payment_upload" if isinstance(target, OracleSystem) else "upsert"
    compiled = mapping_rules.compile_outbound(rule_set, system, time_zone=target.time_zone)
    errors = [
        f"outbound rule {program.name}: sink {program.sink!r}, "
        f"system {system!r} ({target.kind}) has {fitting!r}"
        for program in compiled
        if program.sink != fitting
    ]
    if isinstance(target, OracleSystem) and len(compiled) > 1:
        names = ", ".join(program.name for program in compiled)
        errors.append(f"outbound rules {names}: system {system!r} takes one payment upload rule, not several")
    if errors:
        raise ConfigurationError(errors, hint="change the rule's sink, or the system's kind")
    return compiled


def open_sink(settings: Settings, system: str, staging: Connection, lease: Lease | None = None) -> Sink:
    """The sink of a target system; it connects when first used.

    Args:
        settings: the configuration.
        system: name of the target.
        staging: session for what the sink keeps in staging, in autocommit.
        lease: under which is written; None for a tool that only looks.
    """
    target = settings.systems[system]
    if isinstance(target, OracleSystem):
        return PaymentUploadSink(upload_of(settings, system, target), staging, lease, settings.run)
    token, holder = (lease.token, lease.session) if lease is not None else (0, None)
    return UpsertSink(system, target, fencing_token=token, holder=holder)


def check_target(settings: Settings, rule_set: RuleSet, system: str) -> list[Finding]:
    """Everything that would keep a target from being written, all at once; read only."""
    target = settings.systems[system]
    compiled = programs(settings, rule_set, system)
    if not isinstance(target, OracleSystem):
        return UpsertSink(system, target, fencing_token=0).preflight(compiled)
    with closing(upload_of(settings, system, target)) as ccb:
        return ccb.preflight()


def upload_of(settings: Settings, name: str, target: OracleSystem) -> CcbUpload:
    """The payment upload of a CC&B target."""
    return CcbUpload(name, target, settings.payment_upload)


def flows(context: Context) -> Iterator[tuple[str, Work]]:
    """Name and work of every flow: one capture for each source, one delivery for each target."""
    for system in sources(context.rule_set):
        yield f"capture:{system}", _capture(context, system)
    for system in targets(context.rule_set):
        yield f"deliver:{system}", _delivery(context, system)


def _capture(context: Context, system: str) -> Work:
    settings, rule_set = context.settings, context.rule_set
    source = settings.systems[system]

    def open_stager() -> Stager:
        return Stager(
            context.staging(f"capture {system}"), rule_set, system,
            kind=source.kind, time_zone=source.time_zone, run_id=context.run_id, lease=context.lease,
            reader=source.reader,
        )  # fmt: skip

    return Capture(
        system=system,
        read=mapping_rules.columns_read(rule_set, system),
        open_reader=lambda: open_reader(settings, rule_set, system, context.lease.session),
        open_stager=open_stager,
        sizes=settings.run,
        wake=context.wake,
        state=context.state,
        run_id=context.run_id,
        found=context.found,
    )


def _delivery(context: Context, system: str) -> Work:
    return Deliver(
        system=system,
        programs=programs(context.settings, context.rule_set, system),
        sources=sources(context.rule_set),
        open_sink=lambda staging: open_sink(context.settings, system, staging, context.lease),
        open_staging=lambda: context.staging(f"deliver {system}", autocommit=True),
        sizes=context.settings.run,
        wake=context.wake,
        state=context.state,
        lease=context.lease,
        sources_found=context.found,
    )
