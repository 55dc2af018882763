"""An Oracle server that hangs: it accepts and never answers, as a stalled machine or frozen storage does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sandbox.world import World
from tests.acceptance.site import CANARIES, Running, Site, eventually

LOGIN_S = {"CCBRIDGE_SYSTEMS__CCB__CONNECT_TIMEOUT_S": "2"}


@pytest.fixture(scope="module")
def own_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An installation on servers of its own: others would hang with it."""
    with World(persons=5, tls=True) as world:
        with world.ccb.connect("SYSTEM") as connection, connection.cursor() as cursor:
            cursor.execute(f'alter user CCBRIDGE identified by "{CANARIES["CCBRIDGE"]}"')
        site = Site(world, tmp_path_factory.mktemp("hung"), "hung").create_databases()
        try:
            assert site.call("migrate").code == 0
            yield site
        finally:
            site.close()


@contextmanager
def hung(site: Site) -> Iterator[None]:
    """The kernel still accepts connections; the server answers none."""
    pid = site.world.oracle.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def reading(site: Site) -> Running:
    """A run that mines redo."""
    running = site.start(**LOGIN_S)
    running.wait_for("redo_logs_listed", system="ccb")
    return running


def test_check_gives_up_the_login_at_its_deadline(own_site: Site) -> None:
    """A DBA who runs it sees within seconds which server does not answer."""
    with hung(own_site):
        done = own_site.call("check", **LOGIN_S)  # which waits a minute at most
    assert done.code == 3
    assert "no answer to the login within 2 s" in done.out + done.err


def test_run_ends_when_asked_while_the_server_hangs(own_site: Site) -> None:
    """Anyone who stops the service does not have to kill it."""
    running = reading(own_site)
    with hung(own_site):
        assert running.end(signal.SIGTERM, patience_s=30) in (0, 3)


@pytest.mark.slow  # it waits for the time after which a call is named
def test_a_server_that_hangs_is_named_by_status_within_a_minute(own_site: Site) -> None:
    """Though a call may take ten minutes; and when it answers again everything continues."""
    running = reading(own_site)

    def named() -> bool:
        status = own_site.call("status")
        return status.code == 1 and "capture:ccb: CDC-020" in status.out and "no answer for" in status.out

    with hung(own_site):
        eventually(named, "the server's name in status", patience_s=60)
        assert running.events("call_unanswered")
    eventually(lambda: own_site.call("status").code == 0, "everything continues", hint=running.text)
    running.end()
