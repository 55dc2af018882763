"""From the first packet to the agreed terms: connect, accept or refuse, protocol, data types."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from sandbox.oracle.net.packets import PacketStream, PacketType
from sandbox.oracle.net.terms import Dialect, Terms
from sandbox.oracle.net.wire import Reader, WireError, text

_CHARSET_UTF8 = 873
_CHARSET_UTF16 = 2000
_INLINE_CONNECT_DATA = 230
_ACCEPT_FLAG_END_OF_RESPONSE = 0x02000000
_ACCEPT_FLAG_FAST_AUTHENTICATION = 0x10000000
_LAST_TYPE = 1000  # above every data type number
_INTEGER_TYPE = 27  # its representation tells how the scale of columns and binds is written
_TIME_ZONE = bytes.fromhex("80000000 3C3C3C 80000000")
_BANNER_BYTES = 47
"""The longest banner every client reads: node-oracledb takes 48 bytes with the closing zero, JDBC 50, and
what is behind them for the next member."""
_TIME_ZONE_VERSION = (32).to_bytes(4, "big")
_UNKNOWN_SERVICE, _UNKNOWN_SID = 12514, 12505


@dataclass(frozen=True)
class ConnectRequest:
    """What the client's first packet asks for."""

    version: int
    sdu: int
    service: str | None
    sid: str | None


def read_connect(stream: PacketStream) -> ConnectRequest:
    """Read the CONNECT packet and, when the connect text is long, the packet that holds it."""
    packet = stream.read()
    if packet.type != PacketType.CONNECT or len(packet.payload) < 50:
        raise WireError(f"packet type {packet.type}, expected a connect packet")
    payload = packet.payload
    version = int.from_bytes(payload[0:2], "big")
    length = int.from_bytes(payload[16:18], "big")
    start = int.from_bytes(payload[18:20], "big") - 8
    sdu = int.from_bytes(payload[6:8], "big")
    if version >= 315 and len(payload) >= 54:
        sdu = int.from_bytes(payload[50:54], "big") or sdu
    data = payload[start : start + length]
    if length > _INLINE_CONNECT_DATA or len(data) < length:
        data = stream.read_data()
        while len(data) < length:
            data += stream.read_data()
    descriptor = data.decode("utf-8", "replace")
    return ConnectRequest(version, sdu, _parameter(descriptor, "SERVICE_NAME"), _parameter(descriptor, "SID"))


def _parameter(descriptor: str, name: str) -> str | None:
    found = re.search(rf"\(\s*{name}\s*=\s*([^()]*?)\s*\)", descriptor, re.IGNORECASE)
    return found.group(1) if found else None


def refusal(request: ConnectRequest, name: str, services: Collection[str]) -> int:
    """The listener error for a service or SID that is not there; 0 when it is.

    Neither case nor domain of a service matters; the database's name is a SID.
    """
    known = {service.lower() for service in services}
    if request.service is not None:
        wanted = request.service.lower()
        return 0 if {wanted, wanted.split(".")[0]} & known else _UNKNOWN_SERVICE
    return 0 if (request.sid or "").lower() in known | {name.lower()} else _UNKNOWN_SID


def refuse(stream: PacketStream, code: int) -> None:
    """Refuse the connection with a listener error."""
    body = (
        f"(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR={code})(ERROR_STACK=(ERROR=(CODE={code})(EMFI=4))))"
    ).encode()
    stream.send(PacketType.REFUSE, b"\x22\0" + len(body).to_bytes(2, "big") + body)


def accept(stream: PacketStream, request: ConnectRequest, dialect: Dialect) -> bool:
    """Accept the connection; True when the end of responses is to be marked."""
    version = min(request.version, dialect.tns_version)
    sdu = max(512, min(request.sdu or 8192, dialect.max_sdu))
    flags = 0
    marked = dialect.end_of_response and version >= 319
    if marked:
        flags |= _ACCEPT_FLAG_END_OF_RESPONSE
    if dialect.fast_authentication and version >= 319:
        flags |= _ACCEPT_FLAG_FAST_AUTHENTICATION
    short = min(sdu, 65535).to_bytes(2, "big")
    stream.send(
        PacketType.ACCEPT,
        b"".join(
            (
                version.to_bytes(2, "big"),
                b"\0\0",  # no out-of-band breaks
                short,
                short,
                b"\0\x01\0\0\0\x2d",
                b"\x04\x04",  # no native encryption
                bytes(8),
                sdu.to_bytes(4, "big"),
                sdu.to_bytes(4, "big"),
                b"\0",
                flags.to_bytes(4, "big"),
            )
        ),
    )
    stream.wide = version >= 315
    stream.sdu = sdu
    return marked


def compile_capabilities(dialect: Dialect) -> bytes:
    """What this server was compiled with, as clients read it by index."""
    known = {
        **{0: 6, 1: 1, 4: 0xEF, 7: dialect.field_version, 8: 1, 15: 0x29, 16: 0x91, 17: 3, 18: 7, 19: 3},
        **{23: 0xCF, 26: 4, 27: 1, 37: 0x30, 40: 0x24 if dialect.end_of_response else 0x04},
    }
    return bytes(known.get(index, 0) for index in range(64))


def protocol_answer(reader: Reader, dialect: Dialect, banner: str) -> bytes:
    """Read the protocol message behind its first byte and answer it."""
    while reader.u8():
        pass  # the versions the client knows
    reader.terminated()  # the driver's name
    runtime = bytes((2, 1, 0, 0, 0, 0, 4 if dialect.long_strings else 0, 0, 0, 0, 0, 0, 0))
    charsets = bytes(9) + _CHARSET_UTF16.to_bytes(2, "big")
    return b"".join(
        (
            b"\x01\x06\0",
            banner.encode()[:_BANNER_BYTES] + b"\0",
            _CHARSET_UTF8.to_bytes(2, "little"),
            b"\x03\0\0",
            len(charsets).to_bytes(2, "big") + charsets,
            text(compile_capabilities(dialect)),
            text(runtime),
        )
    )


def data_types_answer(reader: Reader, dialect: Dialect, terms: Terms) -> bytes:
    """Read the data types message behind its first byte, set `terms`, and answer it."""
    reader.raw(4)  # two character sets
    terms.inner_lengths = bool(reader.u8() & 0x02)
    compiled = reader.text() or b""
    runtime = reader.text() or b""
    terms.field_version = min(dialect.field_version, compiled[7] if len(compiled) > 7 else 0)
    terms.long_limit = 32767 if dialect.long_strings else 4000
    answer = b"\x02"
    if len(runtime) > 1 and runtime[1] & 1:
        reader.raw(len(_TIME_ZONE))
        answer += _TIME_ZONE
        if len(compiled) > 37 and compiled[37] & 2:
            reader.raw(len(_TIME_ZONE_VERSION))
            answer += _TIME_ZONE_VERSION
    wide = not (len(compiled) > 27 and not compiled[27])
    number = reader.u16 if wide else reader.u8
    kind = number()
    if kind > _LAST_TYPE:  # the national character set, which some clients put in front
        kind = number()
    while kind:
        if number():
            representation = number()
            number()
            if kind == _INTEGER_TYPE:
                terms.wide_scale = representation == 1
        kind = number()
    return answer + b"\0\0"
