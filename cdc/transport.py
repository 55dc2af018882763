"""Whether a configured connection is encrypted to a server whose identity is verified.

An Oracle dsn is judged by the driver's own parse: what the driver would do counts, not what the text looks
like. Source: python-oracledb, ConnectParams (protocol and ssl_server_dn_match of each address).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_WEAK_MATCH = re.compile(r"ssl_allow_weak_dn_match\s*=\s*(?!off|false|no|0)\w", re.IGNORECASE)
"""Nothing to python-oracledb; Oracle's Java driver, which Debezium uses, then takes a service for a host."""


def postgres_transport_errors(place: str, sslmode: str, *, insecure: bool) -> Iterator[str]:
    """Why a PostgreSQL connection may not be used as it is configured."""
    if insecure or sslmode == "verify-full":
        return
    unverified = "the host name of the server" if sslmode == "verify-ca" else "the server"
    yield f"{place}: sslmode {sslmode!r} does not verify {unverified}"


def oracle_transport_errors(place: str, dsn: str, *, insecure: bool) -> Iterator[str]:
    """Why a dsn may not be used as it is; its text is not repeated, it could hold a password."""
    from oracledb import ConnectParams, Error  # the only driver the vocabulary asks, and only for its parser

    if "@" in dsn:
        yield f"{place}: dsn holds a user or a password, expected an address only"
        return
    parsed = ConnectParams()
    try:
        parsed.parse_connect_string(dsn)
    except (Error, ValueError, OSError) as exc:
        yield (
            f"{place}: dsn is not a connect string ({type(exc).__name__}), "
            "expected tcps://host:port/service or a descriptor"
        )
        return
    if parsed.user is not None or parsed.proxy_user is not None:
        yield f"{place}: dsn holds a user or a password, expected an address only"
    if insecure:
        return
    if any(protocol != "tcps" for protocol in _each(parsed.protocol)):
        yield f"{place}: dsn without tcps is not encrypted"
    elif _WEAK_MATCH.search(dsn):
        yield f"{place}: dsn with ssl_allow_weak_dn_match does not verify the host name of the server"
    elif not all(_each(parsed.ssl_server_dn_match)):
        yield f"{place}: dsn with ssl_server_dn_match off does not verify the server"


def _each(value: object) -> list[object]:
    """A setting of the driver: one value, or one for each address or description."""
    if not isinstance(value, list):
        return [value]
    return [one for part in value for one in _each(part)]
