"""The login has a deadline as a whole: silent listeners and stalled servers, at each step of it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cdc.config import OracleSystem
from cdc.errors import DatabaseUnreachable
from cdc.oracle.calls import unanswered
from cdc.oracle.connect import close, connect
from cdc.oracle.errors import oracle_errors
from sandbox.oracle_process import SYSTEM_PASSWORD, OracleProcess
from sandbox.tls import Authority

DEADLINE_S = 1
"""The shortest that can be configured."""


def settings(dsn: str, **more: object) -> OracleSystem:
    given = {"user": "SYSTEM", "password": SYSTEM_PASSWORD, "insecure": True, **more}
    return OracleSystem.model_validate(
        {"kind": "oracle", "dsn": dsn, "connect_timeout_s": DEADLINE_S, **given}
    )


@contextmanager
def listener(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that accepts and then does what it does; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        opened: list[socket.socket] = []

        def run() -> None:
            while True:
                try:
                    accepted, _ = server.accept()
                except OSError:
                    return
                opened.append(accepted)
                threading.Thread(target=serve, args=[accepted], daemon=True).start()

        threading.Thread(target=run, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            for one in opened:
                one.close()


def silent(_accepted: socket.socket) -> None:
    """Says nothing."""


def relay(port: int, answers: int) -> Callable[[socket.socket], None]:
    """Stands between driver and server and falls silent after so many answers."""

    def serve(accepted: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as server:
            threading.Thread(target=forward, args=[accepted, server], daemon=True).start()
            for _ in range(answers):
                accepted.sendall(server.recv(65536))
            time.sleep(30)

    def forward(source: socket.socket, target: socket.socket) -> None:
        while data := source.recv(65536):
            target.sendall(data)

    return serve


def refused(dsn: str, **more: object) -> float:
    """How long it took until the login was given up."""
    began = time.monotonic()
    with pytest.raises(DatabaseUnreachable, match=r"within 1 s \(connect_timeout_s\)") as caught:
        connect(settings(dsn, **more), module="test")
    assert caught.value.hint
    assert "SYSTEM@" in str(caught.value)
    return time.monotonic() - began


def test_a_listener_that_says_nothing() -> None:
    """It accepts, and that is all: a stalled machine, or a firewall that drops what comes later."""
    with listener(silent) as port:
        assert DEADLINE_S <= refused(f"127.0.0.1:{port}/CCB") < DEADLINE_S + 5


def test_a_listener_that_says_nothing_to_tls(tmp_path: Path) -> None:
    """The handshake never begins."""
    with listener(silent) as port:
        wallet = {"wallet": tmp_path, "insecure": False}
        Authority.create(tmp_path).certificate.rename(tmp_path / "ewallet.pem")
        assert refused(f"tcps://127.0.0.1:{port}/CCB", **wallet) < DEADLINE_S + 5


def test_a_list_of_addresses_has_one_deadline() -> None:
    """Not one each: the driver would go from one silent address to the next."""
    with listener(silent) as first, listener(silent) as second:
        addresses = "".join(
            f"(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT={port}))" for port in (first, second)
        )
        dsn = f"(DESCRIPTION=(ADDRESS_LIST={addresses})(CONNECT_DATA=(SERVICE_NAME=CCB)))"
        assert refused(dsn) < DEADLINE_S + 5


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OracleProcess]:
    with OracleProcess(tmp_path_factory.mktemp("oracle") / "log") as server:
        yield server


@pytest.mark.parametrize("answers", range(1, 6))
def test_a_server_that_falls_silent_in_the_middle(oracle: OracleProcess, answers: int) -> None:
    """After accept, in the negotiation, in the authentication, at the first statement."""
    with listener(relay(oracle.port, answers)) as port:
        assert refused(f"127.0.0.1:{port}/CCB") < DEADLINE_S + 5


def test_a_connection_outlives_the_deadline(oracle: OracleProcess) -> None:
    """The deadline is for the login: later calls take as long as they take."""
    connection = connect(settings(f"127.0.0.1:{oracle.port}/CCB"), module="test")
    with connection, connection.cursor() as cursor:
        cursor.execute("begin dbms_session.sleep(1.5); end;")
        cursor.execute("select 1 from dual")
        assert cursor.fetchone() == (1,)
    assert unanswered(threading.get_ident(), longer_than_s=0) is None


def test_other_failures_of_the_login_stay_what_they_are(oracle: OracleProcess) -> None:
    """A service that is not there is no silence."""
    with pytest.raises(DatabaseUnreachable, match="DPY-6001"):
        connect(settings(f"127.0.0.1:{oracle.port}/NOPE"), module="test")
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(DatabaseUnreachable, match="DPY-6005"):
        connect(settings(f"127.0.0.1:{port}/CCB"), module="test")


def test_a_lost_connection_can_be_closed(oracle: OracleProcess) -> None:
    """Safe, and safe to do twice: the driver crashes the process if a lost connection's time limit is set."""
    dsn = settings(f"127.0.0.1:{oracle.port}/CCB")
    lost, other = connect(dsn, module="lost"), connect(dsn, module="other")
    with other, other.cursor() as cursor:
        cursor.execute("select sid, serial# from v$session where module = 'lost'")
        ((sid, serial),) = cursor.fetchall()
        cursor.execute(f"alter system kill session '{sid},{serial}'")
    with pytest.raises(DatabaseUnreachable), oracle_errors("ccb"), lost.cursor() as cursor:
        cursor.execute("select 1 from dual")
    close(lost)
    close(lost)
    assert not lost.is_healthy()
