"""Packets on a socket: framing, cutting to the packet size, markers and the packet dump.

Set `CCBRIDGE_SANDBOX_PACKETS=1` to log type, length and the first bytes of every packet in hex.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from dataclasses import dataclass
from enum import IntEnum

import structlog

from sandbox.oracle.net.wire import WireError

DUMP_VARIABLE = "CCBRIDGE_SANDBOX_PACKETS"
DUMP_BYTES = 400
_HEADER = 8
_DATA_OVERHEAD = 10  # packet header and data flags
_MAX_PACKET = 64 * 1024 * 1024
_RECEIVE = 256 * 1024

END_OF_FILE = 0x0040
END_OF_RESPONSE = 0x2000

log = structlog.get_logger(__name__)


class PacketType(IntEnum):
    """Kind of a packet."""

    CONNECT = 1
    ACCEPT = 2
    REFUSE = 4
    DATA = 6
    MARKER = 12


class Marker(IntEnum):
    """Kind of a marker packet."""

    BREAK = 1
    RESET = 2
    INTERRUPT = 3


class ClientGone(Exception):
    """The client closed the connection."""


class BreakReceived(Exception):
    """The client wants the running call to end."""

    def __init__(self, kind: int) -> None:
        super().__init__(f"marker {kind}")
        self.kind = kind


@dataclass(frozen=True)
class Packet:
    """One packet; `payload` is what follows the header."""

    type: int
    payload: bytes


class PacketStream:
    """Reads and writes packets on one connected socket; used by one thread.

    Attributes:
        wide: lengths have four bytes, true after the ACCEPT packet.
        sdu: largest packet to send, header included.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = b""
        self._position = 0
        self.wide = False
        self.sdu = 8192
        self._dump = bool(os.environ.get(DUMP_VARIABLE))

    def read(self) -> Packet:
        """The next packet.

        Raises:
            ClientGone: the connection was closed.
            WireError: the header is none.
        """
        self._need(_HEADER)
        start = self._position
        length = int.from_bytes(self._buffer[start : start + (4 if self.wide else 2)], "big")
        if not _HEADER <= length <= _MAX_PACKET:
            raise WireError(f"packet length {length}")
        self._need(length)
        start = self._position
        self._position = start + length
        packet = Packet(self._buffer[start + 4], self._buffer[start + _HEADER : start + length])
        if self._dump:
            self._show("packet_received", packet.type, packet.payload)
        return packet

    def read_data(self) -> bytes:
        """The message bytes of the next data packet.

        Raises:
            BreakReceived: a marker came instead.
            ClientGone: end of file, by packet or by socket.
        """
        packet = self.read()
        if packet.type == PacketType.MARKER:
            raise BreakReceived(packet.payload[-1])
        if packet.type != PacketType.DATA:
            raise WireError(f"packet type {packet.type}")
        if int.from_bytes(packet.payload[:2], "big") & END_OF_FILE:
            raise ClientGone
        return packet.payload[2:]

    def waiting(self) -> bool:
        """True when something from the client can be read without blocking."""
        if len(self._buffer) > self._position:
            return True
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        return bool(select.select((self._socket,), (), (), 0)[0])

    def take_marker(self) -> int | None:
        """The kind of a marker that has arrived; None if nothing has, or something else."""
        if not self.waiting():
            return None
        start, width = self._position, 4 if self.wide else 2
        self._need(_HEADER)
        start = self._position
        if self._buffer[start + 4] != PacketType.MARKER:
            return None
        self._need(int.from_bytes(self._buffer[start : start + width], "big"))
        return self.read().payload[-1]

    def send(self, kind: PacketType, payload: bytes) -> None:
        """Send one packet that is not data."""
        width = 4 if self.wide else 2
        length = (len(payload) + _HEADER).to_bytes(width, "big") + bytes(4 - width)
        if self._dump:
            self._show("packet_sent", kind, payload)
        self._send(length + bytes((kind, 0, 0, 0)) + payload)

    def answer_marker(self, kind: int) -> None:
        """Break back and drop everything up to the client's reset, then reset too."""
        if kind != Marker.RESET:
            self._send_marker(Marker.BREAK)
            while True:
                packet = self.read()
                if packet.type == PacketType.MARKER and packet.payload[-1] == Marker.RESET:
                    break
        self._send_marker(Marker.RESET)

    def _send_marker(self, kind: Marker) -> None:
        self.send(PacketType.MARKER, bytes((1, 0, kind)))

    def send_message(self, message: bytes | bytearray, *, last_flags: int = 0) -> None:
        """Send a message as data packets, all in one write.

        Args:
            message: any length; cut at the packet size.
            last_flags: data flags of the last packet.
        """
        room = self.sdu - _DATA_OVERHEAD
        out = bytearray()
        total = len(message)
        width = 4 if self.wide else 2
        rest = bytes(4 - width) + bytes((PacketType.DATA, 0, 0, 0))
        for start in range(0, total, room):
            end = min(start + room, total)
            flags = last_flags if end == total else 0
            out += (end - start + _DATA_OVERHEAD).to_bytes(width, "big") + rest + flags.to_bytes(2, "big")
            out += message[start:end]
        if self._dump:
            self._show("message_sent", PacketType.DATA, bytes(message))
        self._send(out)

    def wait_at_most(self, seconds: float | None) -> None:
        """Give up on a silent client after some seconds; None waits for ever."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """Close the socket; a second call does nothing."""
        self._socket.close()

    def _need(self, count: int) -> None:
        while len(self._buffer) - self._position < count:
            try:
                more = self._socket.recv(_RECEIVE)
            except (OSError, ValueError) as exc:
                raise ClientGone from exc
            if not more:
                raise ClientGone
            rest = self._buffer[self._position :]
            self._buffer = rest + more if rest else more
            self._position = 0

    def _send(self, data: bytes | bytearray) -> None:
        try:
            self._socket.sendall(data)
        except OSError as exc:
            raise ClientGone from exc

    def _show(self, event: str, kind: int, payload: bytes) -> None:
        log.info(event, type=kind, length=len(payload), hex=payload[:DUMP_BYTES].hex(" "))
