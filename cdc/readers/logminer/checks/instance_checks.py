"""Can an idle instance of the cluster be made to write redo? Each address is tried, nothing is written.

What is found is advice: the instance may be down today, and what it holds back is read late, not lost. Only
the table, which does not go away by itself, is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.errors import CcbridgeError
from cdc.oracle.errors import oracle_errors
from cdc.oracle.heartbeat import heartbeat
from cdc.oracle.identity import database_identity
from cdc.ports import Finding
from cdc.readers.logminer.mining.instances import Instance
from cdc.readers.logminer.mining.probe import Probe

THREADS = "select thread#, status from v$thread order by thread#"


def instance_findings(
    probe: Probe, system: str, settings: OracleSystem, tables: Sequence[TableName]
) -> Iterator[Finding]:
    """Threads without an address, addresses that do not lead to their instance, the table of our own.

    Args:
        probe: of the database that is mined.
        system: name of the source.
        settings: `instances` has the addresses.
        tables: the captured tables.
    """
    is_open = {int(thread): status == "OPEN" for thread, status in probe.rows(THREADS)}
    if sum(is_open.values()) > 1:
        for thread in sorted(is_open.keys() - settings.instances.keys()):
            if is_open[thread]:
                yield _advice(
                    thread,
                    "not set: while its instance is idle, what others commit waits (CDC-112)",
                    f"set instances.{thread} to a dsn that reaches that instance alone",
                )
    if not settings.instances:
        return
    yield from _of_the_table(probe, system, settings, tables)
    with oracle_errors(system):
        identity = database_identity(probe.connection)
    for thread, dsn in sorted(settings.instances.items()):
        if thread not in is_open:
            yield _advice(thread, f"the database has no redo thread {thread}", f"remove instances.{thread}")
        elif is_open[thread]:
            with closing(Instance(system, settings, thread, dsn)) as instance:
                try:
                    instance.open(identity)
                except CcbridgeError as exc:
                    yield _advice(thread, str(exc), exc.hint)


def _of_the_table(
    probe: Probe, system: str, settings: OracleSystem, tables: Sequence[TableName]
) -> Iterator[Finding]:
    own = heartbeat(settings.user)
    if own.table in tables:
        yield Finding(
            f"heartbeat table {own.table}",
            "captured by a rule",
            "no rule that reads it",
            "remove the rule: ccbridge writes this table itself",
        )
    with oracle_errors(system), probe.connection.cursor() as cursor:
        yield from own.findings(cursor)


def _advice(thread: int, found: str, fix: str) -> Finding:
    return Finding(
        f"setting instances, thread {thread}",
        found,
        "the address of its instance, so that ccbridge can commit there",
        fix,
        advice=True,
    )
