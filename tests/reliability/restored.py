"""Staging comes back from a backup that is older than what the targets hold."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from random import Random

from psycopg import sql

from sandbox.prepaid.application import BRIDGE_USER
from tests.acceptance.site import Running
from tests.reliability.bed import PATIENCE_S, Bed

BACKUP = "staging_backup"
_BIND = re.compile(r"ccbridge\s+targets\s+bind\s+(\w+)")
_again = re.compile(r"delete\s+from\s+staging\.checkpoint\s+where\s+system\s+=\s+'\w+';")


def restored(starts: int, *, times: int = 1) -> Callable[[Bed, Random], None]:
    """The scenario with so many starts of ccbridge between backup and restore."""

    def scenario(bed: Bed, chance: Random) -> None:
        running = bed.begin()
        time.sleep(chance.uniform(2, 5))
        running.kill()  # what is in the database at a moment under way is what a backup holds
        _copy(bed, bed.world.staging.name, BACKUP)
        for number in range(starts):
            running = bed.a.run()
            bed.carries(f"start{number}")
            running.kill()
        for _ in range(times):
            running.kill()
            _copy(bed, BACKUP, bed.world.staging.name)
            running = _recovered(bed)

    how_often = " twice" if times > 1 else ""
    scenario.__doc__ = f"Staging is restored{how_often} from a backup, {starts} start(s) of ccbridge later."
    return scenario


def created_again(bed: Bed, chance: Random) -> None:
    """Staging is lost without a backup: an empty one takes its place."""
    running = bed.begin()
    time.sleep(chance.uniform(2, 5))
    running.kill()
    _copy(bed, "template0", bed.world.staging.name)
    done = bed.a.call("migrate")
    assert done.code == 0, done.err
    _recovered(bed)


def _recovered(bed: Bed) -> Running:
    """Start with a change waiting, do what status says until it is content, and wait for equality."""
    bed.rename(f"Restored,{time.time_ns()}")
    since = time.monotonic()
    running = bed.a.start()
    said = ""

    def content() -> bool:
        nonlocal running, said
        if running.process.poll() is None:
            status = bed.a.call("status")
            said = status.out
            if status.code == 0 and bed.staging("select 1 from staging.checkpoint") and _works(bed):
                return True
        else:
            said = running.text()[-3000:]
        for system in sorted(set(_BIND.findall(said))):
            bed.a.call("targets", "bind", system, "--reason", "staging was restored")
        for statement in sorted(set(_again.findall(said))):
            if running.process.poll() is None:
                running.end(patience_s=PATIENCE_S)
            bed.staging(statement)
        if running.process.poll() is not None:
            running = bed.a.start()
        return False

    bed.eventually(content, "status to be content", hint=lambda: said)
    bed.equal("equal, start and what status asks for included", since)
    return running


def _works(bed: Bed) -> bool:
    states = bed.staging("select status from staging.flow_state")
    return len(states) >= 4 and all(status == "running" for (status,) in states)


def _copy(bed: Bed, source: str, name: str) -> None:
    """Make a database a copy of another one, whatever it was; no one else is connected to either."""
    bed.disconnect()
    ended = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname in ({}, {})"
    for statement in (
        sql.SQL(ended).format(sql.Literal(source), sql.Literal(name)),
        sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)),
        sql.SQL("create database {} owner {} template {}").format(
            *map(sql.Identifier, (name, BRIDGE_USER, source))
        ),
    ):
        bed.administrator("postgres", statement.as_string())
