"""A deadline for the whole login: name, TCP, TLS, the listener's answer, authentication, first statements.

The driver bounds the TCP connect only and blocks for ever after it: a listener that is silent, a server that
was stopped between accept and answer. The deadline shuts down the sockets that the thread opened meanwhile,
so the driver's read ends with an error. They are learned from the interpreter's audit event of
`socket.connect`, because the driver does not expose its socket. Resolving a name is not cut short.

Source: Python documentation, "Audit events table", `socket.connect`; python-oracledb 26, thin mode, which
connects by `socket.create_connection` and then removes the socket's timeout.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cdc.errors import DatabaseUnreachable


class _Attempt:
    """One login: copies of the sockets it opened, so that they can be shut down by another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.given_up = False

    def watch(self, opened: socket.socket) -> None:
        """A socket is about to connect.

        Raises:
            TimeoutError: the deadline has passed.
        """
        with self._lock:
            if self.given_up:
                raise TimeoutError("the deadline of the login has passed")
            self._sockets.append(
                socket.socket(opened.family, opened.type, opened.proto, fileno=os.dup(opened.fileno()))
            )

    def give_up(self) -> None:
        """End what blocks on the sockets."""
        with self._lock:
            self.given_up = True
            for one in self._sockets:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Release the copies; the connection itself stays."""
        with self._lock:
            while self._sockets:
                self._sockets.pop().close()


_of_thread = threading.local()


def _watch(event: str, args: tuple[object, ...]) -> None:
    if event == "socket.connect":
        attempt: _Attempt | None = getattr(_of_thread, "attempt", None)
        if attempt is not None and isinstance(args[0], socket.socket):
            attempt.watch(args[0])


sys.addaudithook(_watch)


@contextmanager
def login_deadline(seconds: float, subject: str) -> Iterator[None]:
    """Give up what is inside after so long.

    Raises:
        DatabaseUnreachable: the deadline passed.
    """
    attempt = _of_thread.attempt = _Attempt()
    timer = threading.Timer(seconds, attempt.give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as exc:
        if not attempt.given_up:
            raise
        raise DatabaseUnreachable(
            f"{subject}: no answer to the login within {seconds:g} s (connect_timeout_s)",
            hint="check that the listener and the database answer, and what a firewall does between them",
        ) from exc
    finally:
        timer.cancel()
        _of_thread.attempt = None
        attempt.close()
