"""A standby takes over, whatever became of the active process, which writes nothing any more."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from random import Random

import psycopg

from tests.reliability.bed import LEASE_TTL_S, PATIENCE_S, Bed, Host

ROUNDS = 20
LATEST_S = LEASE_TTL_S + 10
LEASE_LOST = 4
"""Exit code of a process that finds out that another one took over."""

Heal = Callable[[], None]


def _frozen(host: Host) -> Heal:
    """A virtual machine that is paused, a process that is stopped."""
    running = host.process
    assert running is not None
    running.send(signal.SIGSTOP)

    def woken() -> None:
        running.send(signal.SIGCONT)
        assert running.process.wait(PATIENCE_S) == LEASE_LOST, running.text()[-3000:]

    return woken


def _powered_off(host: Host) -> Heal:
    """No one answers any more, and no one says so."""
    host.each(lambda proxy: proxy.lose_packets())
    _killed(host)
    return partial(_back, host)


def _cut_off(host: Host) -> Heal:
    """It lives and works on, and reaches nothing."""
    running = host.process
    assert running is not None
    host.each(lambda proxy: proxy.lose_packets())

    def reconnected() -> None:
        host.each(lambda proxy: proxy.pass_packets())
        assert running.process.wait(PATIENCE_S) == LEASE_LOST, running.text()[-3000:]
        _back(host)

    return reconnected


def _orphaned(host: Host) -> Heal:
    """It is gone, and what is between keeps its sessions open and answers for it."""
    host.each(lambda proxy: proxy.keep_orphans(True))
    _killed(host)
    return partial(_back, host)


def _back(host: Host) -> None:
    """The ways are open again; what was left open at the servers is reset."""
    host.each(lambda proxy: proxy.keep_orphans(False))
    host.each(lambda proxy: proxy.pass_packets())
    host.each(lambda proxy: proxy.cut())


def _log(host: Host) -> str:
    return host.process.text()[-6000:] if host.process is not None else ""


def _killed(host: Host) -> None:
    assert host.process is not None
    host.process.kill()


FAILURES = (_frozen, _orphaned, _powered_off, _cut_off)


def standby(bed: Bed, chance: Random) -> None:
    """Twenty times, under traffic: whatever happens to the active process, the standby carries on in time.

    Four rounds catch it wherever it is, four inside a transaction of staging, and so on. The bound is that
    of a quiet machine; changes that take seconds with nothing wrong say that it is busy.
    """
    active, waiting = bed.a, bed.another_host("b")
    bed.begin(active)
    waiting.start().wait_for("standby_started", patience_s=PATIENCE_S)
    for number in range(ROUNDS):
        failure = FAILURES[number % len(FAILURES)]
        inside = number // len(FAILURES) % 2 == 1
        name = failure.__name__.strip("_").replace("_", " ") + inside * " in a transaction"
        bed.took("carries with nothing wrong", bed.carries(f"calm{number}"))
        with ExitStack() as caught:
            if inside:
                caught.enter_context(_inside_a_transaction(bed))
            else:
                time.sleep(chance.uniform(0, 2))  # whatever it does at that moment
            heal, since = failure(active), time.monotonic()
        mark = bed.mark(f"round{number}")
        assert waiting.process is not None
        waiting.process.wait_for("replication_started", patience_s=PATIENCE_S)
        taken_s = time.monotonic() - since
        assert taken_s <= LATEST_S, f"{name}: took over after {taken_s:.1f} s\n{_log(waiting)}"
        bed.eventually(partial(bed.arrived, mark), f"round {number}, {name}: the standby to carry on")
        carried_s = time.monotonic() - since
        assert carried_s <= LATEST_S, f"{name}: carried after {carried_s:.1f} s\n{_log(waiting)}"
        bed.took(f"takes over, {name}", taken_s)
        bed.took(f"carries, {name}", carried_s)
        heal()
        active.start().wait_for("standby_started", patience_s=PATIENCE_S)
        active, waiting = waiting, active


@contextmanager
def _inside_a_transaction(bed: Bed) -> Iterator[None]:
    """The active process waits inside a staging transaction for a lock, until the block ends."""
    waits = (
        "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
        " and application_name like 'ccbridge capture%'"
    )
    with psycopg.connect(bed.world.staging.conninfo()) as locking:
        locking.execute("lock table staging.person_name in share row exclusive mode")
        bed.rename("Caught,Inside")
        bed.eventually(lambda: bed.staging(waits), "a capture that waits for the lock")
        yield
