"""Sections for PostgreSQL: a connection, and a system that is captured, written, or both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from cdc.config.sections import ConfiguredPath, Secret, SystemSection
from cdc.positions import Lsn
from cdc.transport import postgres_transport_errors


class PostgresConnection(Secret):
    """How to reach a PostgreSQL database. TLS with a verified certificate unless `insecure`."""

    host: str = Field(description="name that the server's certificate has, or its address")
    port: int = Field(default=5432, description="port of the server")
    database: str = Field(description="database")
    user: str = Field(description="role to log in as")
    sslmode: Literal["verify-full", "verify-ca", "require", "disable"] = Field(
        default="verify-full", description="how the server is verified; less than verify-full needs insecure"
    )
    sslrootcert: ConfiguredPath | None = Field(
        default=None, description="certificate authority of the server, a PEM file"
    )
    insecure: bool = Field(default=False, description="allow an sslmode below verify-full")
    allowed_rights: tuple[str, ...] = Field(
        default=(), description="rights over everything that the role may have: superuser, createrole, .."
    )
    connect_timeout_s: int = Field(default=10, description="a login that takes longer is given up, seconds")

    def transport_errors(self, place: str, *, insecure: bool) -> Iterator[str]:
        """What keeps its connections from being protected."""
        yield from postgres_transport_errors(place, self.sslmode, insecure=insecure)


class PostgresSystem(PostgresConnection, SystemSection):
    """A PostgreSQL system that is captured, written, or both."""

    kind: Literal["postgres"] = Field(description="what the system is")
    reader: str = Field(default="pgoutput", description="how it is captured; see debezium.md for the second")
    schemas: tuple[str, ...] = Field(
        default=("public",),
        description="schemas that `ccbridge probe` looks at",
    )
    time_zone: str = Field(default="UTC", description="zone in which the site's dates are meant")
    slot: str = Field(default="ccbridge", description="logical replication slot")
    publication: str = Field(default="ccbridge", description="publication of the captured tables")
    origin: str = Field(default="ccbridge", description="replication origin that marks our own writes")
    mark_schema: str = Field(default="ccbridge", description="schema of the sink's own tables")

    def position_text(self, position: int) -> str:
        """A position in the write-ahead log as PostgreSQL writes it."""
        return Lsn(position).text
