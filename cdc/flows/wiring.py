"""Readers, sinks and flows by configuration; `cdc.kinds` says which reader and sink serve which system."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import mapping_rules
from cdc.config import Settings, SystemSection
from cdc.digests.definition import Algorithm
from cdc.errors import ConfigurationError
from cdc.flows.capture import Capture
from cdc.flows.deliver import Deliver
from cdc.flows.progress.state import FlowState
from cdc.flows.sources_found import SourcesFound
from cdc.flows.staged_signal import StagedSignal
from cdc.flows.supervision import Flow
from cdc.kinds import KINDS, resolve
from cdc.ports import ChangeReader, Finding, ReaderOpening, Sink, SinkKind, SinkOpening, TableReader
from cdc.postgres.connect import Connection, connect
from cdc.postgres.sessions import Holder
from cdc.staging.batches.stage import Stager
from cdc.staging.leases import Lease
from mapping_rules import OutboundProgram, RuleSet

Work = Callable[[Flow], None]


@dataclass(frozen=True)
class Context:
    """What the flows of one run share."""

    settings: Settings
    rule_set: RuleSet
    lease: Lease
    run_id: uuid.UUID
    state: FlowState
    wake: StagedSignal
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
    return reader_of(settings.systems[system], _opening(settings, rule_set, system, holder))


def open_table_reader(settings: Settings, rule_set: RuleSet, system: str) -> TableReader:
    """The reader of a source's tables; it connects when first used.

    Raises:
        ConfigurationError: systems of its kind are not captured.
    """
    source = settings.systems[system]
    name = KINDS[source.kind].tables
    if name is None:
        raise ConfigurationError([f"system {system}: systems of kind {source.kind!r} are not captured"])
    opened: Callable[[ReaderOpening], TableReader] = resolve(name)
    return opened(_opening(settings, rule_set, system, None))


def _opening(settings: Settings, rule_set: RuleSet, system: str, holder: Holder | None) -> ReaderOpening:
    return ReaderOpening(
        system,
        settings.systems[system],
        mapping_rules.captured_tables(rule_set, system),
        mapping_rules.columns_read(rule_set, system),
        holder,
    )


def reader_of(source: SystemSection, opening: ReaderOpening) -> ChangeReader:
    """The reader that the section of a system names, opened.

    Raises:
        ConfigurationError: systems of its kind are not captured, or the reader's extra is not installed.
    """
    readers = KINDS[source.kind].readers
    if source.reader not in readers:
        raise ConfigurationError(
            [f"system {opening.system}: no reader for kind {source.kind!r}, expected a captured system"],
            hint="change the rules that read it, or the system's kind",
        )
    open_reader: Callable[[ReaderOpening], ChangeReader] = resolve(readers[source.reader])
    return open_reader(opening)


def programs(settings: Settings, rule_set: RuleSet, system: str) -> tuple[OutboundProgram, ...]:
    """The compiled outbound rules of a target system, parents first.

    Raises:
        ConfigurationError: a rule names a sink that the system's kind does not have, or a sink cannot write
            these rules.
    """
    target = settings.systems[system]
    fitting = KINDS[target.kind].sinks
    compiled = mapping_rules.compile_outbound(rule_set, system, time_zone=target.time_zone)
    known = " or ".join(map(repr, fitting)) or "none"
    wrong = [
        f"outbound rule {program.name}: sink {program.sink!r}, system {system!r} ({target.kind}) has {known}"
        for program in compiled
        if program.sink not in fitting
    ]
    names = sorted({program.sink for program in compiled})
    if not wrong and len(names) > 1:
        wrong.append(f"system {system!r}: its rules name sinks {', '.join(names)}, expected one")
    elif not wrong:
        wrong += [f"system {system!r}: {text}" for text in _sink_kind(target, compiled).rule_errors(compiled)]
    if wrong:
        raise ConfigurationError(wrong, hint="change the rule's sink, or the system's kind")
    return compiled


def _sink_kind(target: SystemSection, compiled: Sequence[OutboundProgram]) -> SinkKind:
    kind: SinkKind = resolve(KINDS[target.kind].sinks[compiled[0].sink])
    return kind


def open_sink(
    settings: Settings, rule_set: RuleSet, system: str, staging: Connection, lease: Lease | None = None
) -> Sink:
    """The sink of a target system; it connects when first used.

    Args:
        settings: the configuration.
        rule_set: has the rules that name it.
        system: name of the target.
        staging: session for what the sink keeps in staging, in autocommit.
        lease: under which is written; None for a tool that only looks.
    """
    kind = _sink_kind(settings.systems[system], programs(settings, rule_set, system))
    return kind.open(SinkOpening(settings, system, staging, lease))


def check_target(settings: Settings, rule_set: RuleSet, system: str) -> list[Finding]:
    """Everything that would keep a target from being written, all at once; read only."""
    compiled = programs(settings, rule_set, system)
    return _sink_kind(settings.systems[system], compiled).findings(settings, system, compiled)


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
            context.staging(f"capture {system}"),
            rule_set,
            system,
            kind=KINDS[source.kind].texts,
            time_zone=source.time_zone,
            run_id=context.run_id,
            lease=context.lease,
            reader=source.reader,
            digest=Algorithm(settings.verify.digest),
        )

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
        open_sink=lambda staging: open_sink(
            context.settings, context.rule_set, system, staging, context.lease
        ),
        open_staging=lambda: context.staging(f"deliver {system}", autocommit=True),
        sizes=context.settings.run,
        wake=context.wake,
        state=context.state,
        lease=context.lease,
        sources_found=context.found,
    )
