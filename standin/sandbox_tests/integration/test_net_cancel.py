"""Cancel, call time-outs, killed sessions and clients that do not speak the protocol."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator

import oracledb
import pytest

from sandbox_tests.integration.net_bench import DIALECTS, Bench, served

WAIT_S = 10.0


@pytest.fixture(params=list(DIALECTS.values()), ids=list(DIALECTS))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with served(**request.param) as running:
        yield running


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        threading.Event().wait(0.01)


def test_a_call_time_out_ends_the_call_and_keeps_the_session(bench: Bench) -> None:
    """Again and again on the same connection."""
    connection = bench.connect()
    with connection.cursor() as cursor:
        for _ in range(3):
            connection.call_timeout = 60
            with pytest.raises(oracledb.DatabaseError, match="DPY-4024"):
                cursor.execute("begin wait; end;")
            connection.call_timeout = 0
            assert len(cursor.execute("select * from numbers_200").fetchall()) == 200


def test_cancel_from_another_thread(bench: Bench) -> None:
    """The waiting call raises ORA-01013; the session goes on."""
    connection = bench.connect()

    def cancel() -> None:
        assert bench.database.started.wait(WAIT_S)
        connection.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with connection.cursor() as cursor:
        with pytest.raises(oracledb.OperationalError, match="ORA-01013"):
            cursor.execute("begin wait; end;")
        thread.join()
        assert cursor.execute("select count(*) from t").fetchone() == (0,)


def test_a_cancel_that_comes_late(bench: Bench) -> None:
    """The answer was already sent: the next call may be refused once, never stuck."""
    connection = bench.connect()
    with connection.cursor() as cursor:
        cursor.execute("select * from numbers_10").fetchall()
        connection.cancel()
        with contextlib.suppress(oracledb.DatabaseError):
            cursor.execute("select * from numbers_10").fetchall()
        assert len(cursor.execute("select * from numbers_10").fetchall()) == 10


def test_a_killed_session_is_told_and_closed(bench: Bench) -> None:
    """The client sees that the connection is gone."""
    connection = bench.connect()
    with connection.cursor() as cursor, pytest.raises(oracledb.DatabaseError, match=r"ORA-00028|DPY-4011"):
        cursor.execute("begin killed; end;")
    assert not connection.is_healthy()


def test_a_client_that_vanishes_is_rolled_back(bench: Bench) -> None:
    """Its session is closed, its changes are gone."""
    descriptor = bench.connect()
    with descriptor.cursor() as cursor:
        cursor.execute("insert into t values (:1, :2)", [1, "a"])
    session = bench.database.sessions[0]
    assert session.in_transaction
    bench.server.stop()
    eventually(lambda: session.closed)
    assert bench.database.table == {}


def test_strange_bytes_end_one_connection_only() -> None:
    """Whatever a client sends, the others go on and nothing is left open."""
    chosen = random.Random(3)  # noqa: S311 (the same bytes each time)
    with served() as bench:
        connection = bench.connect()
        for size in (1, 8, 40, 400, 4000):
            with socket.create_connection(("127.0.0.1", bench.server.port)) as strange:
                strange.sendall(chosen.randbytes(size))
        with socket.create_connection(("127.0.0.1", bench.server.port)) as strange:
            strange.sendall(b"\0\x3a\0\0\x01\0\0\0\x01\x3f" + bytes(10))  # half a connect packet
        connection.ping()
        eventually(lambda: bench.server.connections == 1)


def test_a_broken_request_ends_its_connection_only() -> None:
    """After the login too."""
    with served() as bench:
        healthy = bench.connect()
        for request in (b"\x03\xfe\x01", b"\x11\xfe\x01", b"\xde\xad", b"\x03\x5e\x01" + b"\x09" * 40):
            with socket.create_connection(("127.0.0.1", bench.server.port)) as client:
                client.sendall(_connect_packet())
                accepted = client.recv(1000)
                assert accepted[4] == 2
                message = b"\0\0" + request
                client.sendall((len(message) + 8).to_bytes(4, "big") + b"\x06\0\0\0" + message)
                client.settimeout(WAIT_S)
                while client.recv(1000):
                    pass
        healthy.ping()


def test_many_connections_leave_nothing_behind() -> None:
    """Threads and sessions end with their connections."""
    with served() as bench:
        before = threading.active_count()
        for _ in range(60):
            bench.connect().close()
        eventually(lambda: bench.server.connections == 0)
        eventually(lambda: threading.active_count() <= before)
        assert all(session.closed for session in bench.database.sessions)


def test_a_stopped_server_frees_its_port_and_starts_again() -> None:
    """Clients come back to the same port."""
    with served() as bench:
        port = bench.server.port
        bench.connect().close()
        bench.server.stop()
        with pytest.raises(oracledb.OperationalError, match="DPY-6005"):
            bench.connect(dsn=f"127.0.0.1:{port}/FAKE")
        bench.server.start()
        assert bench.server.port == port
        bench.connect().ping()


def _connect_packet() -> bytes:
    text = b"(DESCRIPTION=(CONNECT_DATA=(SERVICE_NAME=FAKE)))"
    payload = bytearray(66)
    payload[0:4] = (319).to_bytes(2, "big") + (300).to_bytes(2, "big")
    payload[6:10] = (8192).to_bytes(2, "big") * 2
    payload[16:20] = len(text).to_bytes(2, "big") + (74).to_bytes(2, "big")
    payload[50:54] = (8192).to_bytes(4, "big")
    packet = bytes(payload) + text
    return (len(packet) + 8).to_bytes(2, "big") + b"\0\0\x01\0\0\0" + packet
