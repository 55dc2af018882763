"""The failures that the proxy makes are the failures that the scenarios speak of."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.acceptance.site import eventually
from tests.reliability.proxy import Proxy


class Echo:
    """A server that sends back what it gets."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.sessions: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                session, _ = self.listener.accept()
            except OSError:
                return
            self.sessions.append(session)
            threading.Thread(target=self._answer, args=(session,), daemon=True).start()

    def _answer(self, session: socket.socket) -> None:
        try:
            while data := session.recv(100):
                session.sendall(data)
        except OSError:
            pass
        session.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.listener.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.listener.getsockname()[1]) as made:
        yield made


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as made:
        assert said(made, b"hello")
        yield made


def said(client: socket.socket, words: bytes) -> bool:
    """True if the words came back."""
    client.sendall(words)
    return client.recv(100) == words


def lets_in(proxy: Proxy) -> bool:
    """True if a new connection gets through to the server."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        return said(client, b"hello")


def test_lost_packets_are_not_acknowledged_and_not_reported(proxy: Proxy, client: socket.socket) -> None:
    """The client's own kernel gives the connection up, as with a pulled cable; no new one gets through."""
    client.setsockopt(socket.IPPROTO_TCP, 18, 300)  # TCP_USER_TIMEOUT
    with proxy.losing_packets():
        client.sendall(b"anybody there?")
        with pytest.raises(TimeoutError, match="Connection timed out"):
            client.recv(100)
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3)
    assert lets_in(proxy)


def test_a_connection_outlives_a_short_loss(proxy: Proxy, client: socket.socket) -> None:
    """What was sent meanwhile is sent again by the kernel."""
    with proxy.losing_packets():
        client.sendall(b"later")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(100)
    client.settimeout(30)
    assert client.recv(100) == b"later"


def test_an_orphan_stays_open_at_the_server(proxy: Proxy, client: socket.socket, echo: Echo) -> None:
    """Until the server ends it."""
    proxy.keep_orphans(True)
    client.close()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as other:
        assert said(other, b"next")
        assert proxy.open_connections() == 2
    echo.sessions[0].shutdown(socket.SHUT_RDWR)
    eventually(lambda: proxy.open_connections() == 1, "the orphan's end")


def test_a_cut_resets_and_lets_in_again(proxy: Proxy, client: socket.socket) -> None:
    """Refusing, too, ends with a word."""
    proxy.cut()
    with pytest.raises(ConnectionError):
        said(client, b"hello")
    proxy.refuse(True)
    with pytest.raises(ConnectionError):
        lets_in(proxy)
    proxy.refuse(False)
    assert lets_in(proxy)
