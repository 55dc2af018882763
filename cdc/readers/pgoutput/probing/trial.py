"""A probe of one PostgreSQL system."""

from __future__ import annotations

from contextlib import closing

from cdc.assumptions import Deadline, NotTried, Outcome, Report, Verdict, tried
from cdc.config import PostgresSystem
from cdc.errors import DatabaseUnreachable, LoginRefused
from cdc.readers.pgoutput.probing.assumptions import ASSUMPTIONS
from cdc.readers.pgoutput.probing.decoding_checks import DecodingChecks
from cdc.readers.pgoutput.probing.server_checks import Connect, ServerChecks


def trial(
    system: str, settings: PostgresSystem, schema: str | None, *, connect: Connect, deadline: Deadline
) -> Report:
    """Try every assumption; what was made in the scratch schema is dropped.

    Args:
        system: name of the system, for messages.
        settings: how to reach it.
        schema: scratch schema for the test table, if one was named.
        connect: opens a session as the reader does.
        deadline: the time it may take.

    Raises:
        OperatorError: the scratch schema has a table of the probe's name that no probe made.
    """
    report = Report()
    try:
        server = ServerChecks(system, settings, connect)
        with closing(server.session), closing(connect()) as session:
            decoding = DecodingChecks(session, schema)
            with decoding.made():
                checks = {**server.checks, **decoding.checks}
                for outcome in tried(ASSUMPTIONS, checks, deadline):
                    report.outcomes.append(outcome)
    except (DatabaseUnreachable, LoginRefused) as exc:
        report.unreachable = exc
    except KeyboardInterrupt:
        report.interrupted = True
    reason = report.unreachable or NotTried("the probe was interrupted")
    report.outcomes += [
        Outcome(one, Verdict.COULD_NOT_TRY, str(reason), reason.hint)
        for one in ASSUMPTIONS[len(report.outcomes) :]
    ]
    return report
