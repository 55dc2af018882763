"""The way to a database: a TCP proxy that can lose packets, keep orphans, delay, cut and refuse.

Packets are lost by a socket filter that lets nothing in (SO_ATTACH_FILTER, socket(7)): the kernel then
discards data, acknowledgements, keepalives and SYNs before TCP sees them. To both ends it looks as if a cable
was pulled, which a proxy that merely stops reading cannot do, because its kernel continues acknowledging.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

_ATTACH_FILTER, _DETACH_FILTER = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER of Linux
_RETURN_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)  # BPF_RET: keep 0 bytes of the packet
_CHUNK = 65536
_SEND_TURN = struct.pack("ll", 0, 200_000)  # seconds, microseconds


class _Pair:
    """A client's connection and ours to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.ended = False

    @property
    def sockets(self) -> tuple[socket.socket, socket.socket]:
        return self.client, self.server


class Proxy:
    """One listening port that leads to one server; use it as a context manager.

    Args:
        target: port of the server on 127.0.0.1.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._pairs: set[_Pair] = set()
        self._lock = threading.Lock()
        self._losing = self._refusing = self._orphaning = self._closed = False
        self._delay_s = 0.0

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, name=f"proxy {self.port}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def lose_packets(self) -> None:
        """From now on nothing arrives at either end, and neither is notified."""
        with self._lock:
            self._losing = True
            for one in self._all():
                _lose(one)

    def pass_packets(self) -> None:
        """Packets arrive again: what either end still sends again continues as if nothing had been."""
        with self._lock:
            self._losing = False
            for one in self._all():
                with suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)

    @contextmanager
    def losing_packets(self) -> Iterator[None]:
        """Packets are lost until the block ends."""
        self.lose_packets()
        try:
            yield
        finally:
            self.pass_packets()

    def keep_orphans(self, keep: bool) -> None:
        """Whether the server's side stays open when a client is gone, as some balancers and poolers do."""
        self._orphaning = keep

    def refuse(self, refusing: bool) -> None:
        """Whether new connections are closed at once."""
        self._refusing = refusing

    def delay(self, seconds: float) -> None:
        """Hold each piece of data back for so long, in both directions."""
        self._delay_s = seconds

    def cut(self) -> None:
        """Reset every connection; new ones are let in."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._end(pair)

    def open_connections(self) -> int:
        """Connections whose server side is open."""
        with self._lock:
            return len(self._pairs)

    def _all(self) -> list[socket.socket]:
        return [self._listener, *(one for pair in self._pairs for one in pair.sockets)]

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing or self._closed:
                _reset(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                _reset(client)
                continue
            pair = _Pair(client, server)
            with self._lock:
                self._pairs.add(pair)
                for one in pair.sockets:
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TURN)
                    if self._losing:
                        _lose(one)
            for source, sink in (pair.sockets, pair.sockets[::-1]):
                threading.Thread(target=self._carry, args=(pair, source, sink), daemon=True).start()

    def _carry(self, pair: _Pair, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(_CHUNK):
                if self._delay_s:
                    time.sleep(self._delay_s)
                if not _sent(sink, data, pair):
                    return
        except OSError:
            pass
        if source is pair.client and self._orphaning:
            return  # the server is not notified; the other direction ends when the server ends it
        self._end(pair)

    def _end(self, pair: _Pair) -> None:
        with self._lock:
            self._pairs.discard(pair)
            pair.ended = True
        for one in pair.sockets:
            _reset(one)


def _lose(one: socket.socket) -> None:
    program = ctypes.create_string_buffer(_RETURN_NOTHING)
    with suppress(OSError):  # closed meanwhile
        one.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(program)))


def _sent(sink: socket.socket, data: bytes, pair: _Pair) -> bool:
    """Send all of it to an end that may not read for long; false if the connection was ended meanwhile."""
    left = memoryview(data)
    while left and not pair.ended:
        try:
            left = left[sink.send(left) :]
        except BlockingIOError:
            continue  # look whether it was ended
    return not pair.ended


def _reset(one: socket.socket) -> None:
    """Close with a reset, and nothing before it; wakes a thread that reads from it."""
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with suppress(OSError):
        one.shutdown(socket.SHUT_RD)  # that of the other direction would send a FIN first
    one.close()
