"""The listener of the Oracle stand-in: sockets, TLS and one thread per connection.

    with OracleServer(database) as server:
        oracledb.connect(user="CISADM", password=..., dsn=f"127.0.0.1:{server.port}/CCB")

Everything above the socket is in `sandbox.oracle.net`, everything behind the protocol in the
`Database` handed in.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from types import TracebackType

import structlog

from sandbox.oracle.interface import Database
from sandbox.oracle.net.packets import PacketStream
from sandbox.oracle.net.session import WireSession
from sandbox.oracle.net.terms import Dialect

_STOP_S = 5.0
_BACKLOG = 128

log = structlog.get_logger(__name__)


class OracleServer:
    """Listens on one port; use it as a context manager, or `start` and `stop` it.

    Clients must be closed before `stop` if they live in the same process: a client that logs off
    while the interpreter ends waits for threads that no longer run.

    Args:
        database: what clients see.
        host: address to listen on.
        port: 0 for any free one.
        field_version: layout of the messages, 12 = Oracle 19c (see `Dialect`).
        tns_version: version of the packet layer, 319 for the 23ai dialect.
        end_of_response: mark the end of responses (needs `tns_version` 319).
        fast_authentication: handshake in one message (needs `tns_version` 319).
        long_strings: strings up to 32767 bytes instead of 4000.
        max_sdu: largest packet size to agree on, in bytes.
        tls: serve TLS with this context instead of plain TCP.
    """

    def __init__(
        self,
        database: Database,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        field_version: int = 12,
        tns_version: int = 318,
        end_of_response: bool = False,
        fast_authentication: bool = False,
        long_strings: bool = True,
        max_sdu: int = 65535,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.database = database
        self.host = host
        self._wanted_port = port
        self._tls = tls
        self._dialect = Dialect(
            field_version=field_version,
            tns_version=tns_version,
            end_of_response=end_of_response,
            fast_authentication=fast_authentication,
            long_strings=long_strings,
            max_sdu=max_sdu,
        )
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._stopping = False

    @property
    def port(self) -> int:
        """The port clients connect to.

        Raises:
            RuntimeError: the server is not started.
        """
        if self._listener is None:
            raise RuntimeError("the server is not started")
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many connections are open."""
        with self._lock:
            return len(self._connections)

    def start(self) -> OracleServer:
        """Listen; clients can connect when this returns. A second start takes the same port again."""
        self._stopping = False
        self._listener = socket.create_server((self.host, self._wanted_port), backlog=_BACKLOG)
        self._wanted_port = self.port
        self._acceptor = threading.Thread(target=self._accept, name="oracle-listener", daemon=True)
        self._acceptor.start()
        return self

    def stop(self) -> None:
        """Stop listening and end every connection; open transactions are rolled back."""
        if self._listener is None or self._acceptor is None:
            return
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(_STOP_S)
        self._listener.close()
        self._listener = self._acceptor = None
        with self._lock:
            open_now = list(self._connections.items())
        for connection, _ in open_now:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for _, thread in open_now:
            thread.join(_STOP_S)

    def __enter__(self) -> OracleServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _accept(self) -> None:
        listener = self._listener
        while listener is not None and not self._stopping:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._lock:
                self._connections[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._wrap(connection, self._tls)
            WireSession(PacketStream(connection), self.database, self._dialect).serve()
        except OSError as exc:
            log.warning("connection_refused", error=type(exc).__name__)
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            connection.close()

    def _wrap(self, connection: socket.socket, tls: ssl.SSLContext) -> ssl.SSLSocket:
        """Put TLS around a connection; the handshake itself happens with the first read."""
        wrapped = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._connections[wrapped] = self._connections.pop(connection)
        return wrapped
