"""The section for an Oracle system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from cdc.config.sections import ConfiguredPath, Secret, SystemSection, secret_text
from cdc.transport import oracle_transport_errors


class OracleSystem(Secret, SystemSection):
    """An Oracle system. `dsn` is Easy Connect (`host:1521/service`) or a full descriptor."""

    schema_key: ClassVar[str] = "owner"

    kind: Literal["oracle"] = Field(description="what the system is")
    reader: str = Field(default="logminer", description="how it is captured; see debezium.md for the second")
    dsn: str = Field(description="host:1521/service, tcps://host:2484/service, or a full descriptor")
    user: str = Field(description="user to log in as")
    owner: str = Field(
        default="CISADM",
        pattern=r"^[A-Za-z][A-Za-z0-9_$#]*$",
        description="schema owner of the captured tables",
    )
    time_zone: str = Field(default="UTC", description="zone in which the site's DATE columns are meant")
    wallet: ConfiguredPath | None = Field(default=None, description="directory of ewallet.pem for TCPS")
    wallet_password: SecretStr | None = Field(
        default=None, description="password of the private key in ewallet.pem"
    )
    wallet_password_file: ConfiguredPath | None = Field(
        default=None, description="file that has the wallet's password"
    )
    insecure: bool = Field(default=False, description="allow a connection without TLS")
    allowed_rights: tuple[str, ...] = Field(
        default=(), description="rights and roles over everything that the user may have: DBA, .."
    )
    connect_timeout_s: int = Field(default=10, description="a login that takes longer is given up, seconds")
    poll_interval_ms: int = Field(default=500, ge=1, description="pause between two looks at the redo log")
    max_window_scn: int = Field(default=100_000, ge=1, description="SCNs that one LogMiner run covers")
    query_timeout_s: int = Field(
        default=600, ge=1, description="a call that takes longer is given up, and less is read at once"
    )
    session_max_age_s: int = Field(
        default=3600, ge=1, description="a LogMiner session is replaced after so long, to free its memory"
    )
    session_max_pga_bytes: int | None = Field(
        default=None, ge=1, description="a LogMiner session with more memory than this is replaced"
    )
    instances: dict[Annotated[int, Field(ge=1)], str] = Field(
        default={}, description="redo thread of each instance of a cluster = dsn that reaches it alone"
    )
    archive_destinations: tuple[int, ...] = Field(
        default=(), description="DEST_ID of the archive destinations that may be read, preferred first"
    )
    pdb: str | None = Field(
        default=None,
        description="pluggable database of the tables, in double quotes if its name has lower case; "
        "dsn is the root's",
    )
    apply_log: str | None = Field(
        default=None,
        pattern=r"^([^.\"]+\.)?[^.\"]+$",
        description="table [schema.]name with a row in each transaction we write; tells our own writes",
    )
    unescaped_apostrophes: bool = Field(
        default=False,
        description="read SQL_REDO whose apostrophes are not doubled; ambiguous texts are refused",
    )
    lobs_from_redo: tuple[str, ...] = Field(
        default=(),
        description="LOB columns and extended strings whose values are put together from the redo: "
        "TABLE.COLUMN, or OWNER.TABLE.COLUMN",
    )
    open_transaction_bytes: int = Field(
        default=128 * 2**20, ge=1, description="memory for the rows of all open transactions together"
    )
    spill_directory: ConfiguredPath | None = Field(
        default=None, description="where large and long open transactions are kept, also over restarts"
    )
    open_transaction_write_s: int = Field(
        default=30,
        ge=0,
        description="age from which an open transaction is written down, and how often again",
    )
    open_transaction_alarm_share: float = Field(
        default=0.5, gt=0, le=1, description="share of the redo's retention at whose age a warning is logged"
    )

    def dsns(self, place: str) -> Iterator[tuple[str, str]]:
        """Every address, the main one first, each with the section or key that has it."""
        yield place, self.dsn
        for thread, dsn in sorted(self.instances.items()):
            yield f"{place}.instances.{thread}", dsn

    def transport_errors(self, place: str, *, insecure: bool) -> Iterator[str]:
        """What keeps a connection to one of its addresses from being protected."""
        for where, dsn in self.dsns(place):
            yield from oracle_transport_errors(where, dsn, insecure=insecure)

    def wallet_secret(self) -> str | None:
        """The password of the wallet's private key, or None if it has none.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        return secret_text(self.wallet_password, self.wallet_password_file, "wallet_password_file")

    @field_validator("pdb")
    @classmethod
    def pdb_as_stored(cls, value: str | None) -> str | None:
        """Take the name as Oracle stores it."""
        return None if value is None else stored_name(value)

    @model_validator(mode="after")
    def options_are_the_readers(self) -> OracleSystem:
        """Refuse what the reader would not look at."""
        given = sorted(self.model_fields_set & ONLY_LOGMINER)
        if self.reader != "logminer" and given:
            raise ValueError(f"only reader logminer knows {', '.join(given)}")
        return self

    @field_validator("lobs_from_redo")
    @classmethod
    def columns_are_named_whole(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what names no column."""
        for name in value:
            parts = name.split(".")
            if len(parts) not in (2, 3) or not all(parts):
                raise ValueError(f"{name!r}: expected TABLE.COLUMN or OWNER.TABLE.COLUMN")
        return value


ONLY_LOGMINER = frozenset(
    {
        "apply_log",
        "archive_destinations",
        "instances",
        "lobs_from_redo",
        "max_window_scn",
        "open_transaction_alarm_share",
        "open_transaction_bytes",
        "open_transaction_write_s",
        "pdb",
        "query_timeout_s",
        "session_max_age_s",
        "session_max_pga_bytes",
        "spill_directory",
        "unescaped_apostrophes",
    }
)
"""Settings that reader `debezium` does not look at."""


def stored_name(written: str) -> str:
    """A name as Oracle stores it: upper case unless it is written in double quotes.

    Raises:
        ValueError: it is empty, or has a double quote inside.
    """
    quoted = len(written) > 2 and written[0] == written[-1] == '"'
    name = written[1:-1] if quoted else written.strip().upper()
    if not name or '"' in name:
        raise ValueError(f"not a name: {written!r}")
    return name
