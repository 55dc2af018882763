"""The configuration: one TOML file plus environment variables for secrets.

`load` reads `ccbridge.toml`; every key can be overridden by an environment variable, for example
`CCBRIDGE_SYSTEMS__CCB__PASSWORD`. Unknown keys are refused and all faults are reported at once.
`cdc.cli.init` writes a commented example.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from cdc.errors import ConfigurationError

ENVIRONMENT_PREFIX = "CCBRIDGE_"


class Section(BaseModel):
    """A table of the TOML file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(Section):
    """A password from the environment or from a file, never from the TOML file of a real site."""

    password: SecretStr | None = None
    password_file: Path | None = None

    def secret(self) -> str | None:
        """The password, or None where none is configured (peer or certificate login)."""
        if self.password is not None:
            return self.password.get_secret_value()
        if self.password_file is not None:
            try:
                return self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
            except OSError as exc:
                raise ConfigurationError(
                    [f"password_file {self.password_file}: {exc.strerror}"],
                    hint="create the file, readable by the ccbridge user only",
                ) from exc
        return None


class PostgresConnection(Secret):
    """How to reach a PostgreSQL database. TLS with a verified certificate unless `insecure`."""

    host: str
    port: int = 5432
    database: str
    user: str
    sslmode: Literal["verify-full", "verify-ca", "require", "disable"] = "verify-full"
    sslrootcert: Path | None = None
    insecure: bool = Field(default=False, description="allow sslmode require or disable")
    connect_timeout_s: int = 10


class PostgresSystem(PostgresConnection):
    """A PostgreSQL system that is captured, written, or both."""

    kind: Literal["postgres"]
    reader: Literal["pgoutput"] = "pgoutput"
    schemas: tuple[str, ...] = ("public",)
    time_zone: str = "UTC"
    slot: str = "ccbridge"
    publication: str = "ccbridge"
    origin: str = Field(default="ccbridge", description="replication origin that marks our own writes")
    mark_schema: str = Field(default="ccbridge", description="schema of the sink's own tables")

    @field_validator("time_zone")
    @classmethod
    def zone_is_known(cls, value: str) -> str:
        """Refuse a zone the time zone database does not have."""
        return known_zone(value)


class OracleSystem(Secret):
    """An Oracle system: CC&B. `dsn` is Easy Connect (`host:1521/service`) or a full descriptor."""

    kind: Literal["oracle"]
    reader: Literal["logminer"] = "logminer"
    dsn: str
    user: str
    owner: str = Field(default="CISADM", description="schema owner of the captured tables")
    time_zone: str = Field(default="UTC", description="zone in which the site's DATE columns are meant")
    wallet: Path | None = Field(default=None, description="directory of ewallet.pem for TCPS")
    insecure: bool = Field(default=False, description="allow a connection without TLS")
    connect_timeout_s: int = 10
    poll_interval_ms: int = Field(default=25, ge=1, description="pause between two looks at the redo log")
    max_window_scn: int = Field(default=100_000, ge=1, description="SCNs that one LogMiner run covers")

    @field_validator("time_zone")
    @classmethod
    def zone_is_known(cls, value: str) -> str:
        """Refuse a zone the time zone database does not have."""
        return known_zone(value)


System = Annotated[PostgresSystem | OracleSystem, Field(discriminator="kind")]


class Rules(Section):
    """Where the rule set is: the name of a shipped one, or a folder."""

    path: str = "ccb_prepaid"


class PaymentUpload(Section):
    """Site codes of the CC&B payment upload; they are configuration in CC&B, never constants."""

    external_source: str = Field(
        default="PREPAID", max_length=30, description="EXT_SOURCE_ID of the tender source"
    )
    tender_type: str = Field(
        default="CASH", max_length=4, description="TENDER_TYPE_CD where the recharge has none"
    )
    max_per_transmission: int = Field(default=50, ge=1, description="tenders in one transmission")
    poll_interval_ms: int = Field(
        default=200, ge=10, description="pause between two looks for accepted receipts"
    )


class Run(Section):
    """Sizes and pauses of continuous replication."""

    max_changes: int = Field(default=20_000, ge=1, description="changes in one batch, about")
    max_delivery_rows: int = Field(default=20_000, ge=1, description="target rows in one delivery, about")
    snapshot_rows: int = Field(default=20_000, ge=1, description="rows in one snapshot batch")
    idle_poll_ms: int = Field(default=1_000, ge=1, description="how often an idle sink looks at staging")
    retry_held_s: int = Field(default=5, ge=1, description="how often held keys are tried again")
    lease_ttl_s: int = Field(
        default=15, ge=3, description="a lease not renewed for so long may be taken over"
    )


class Settings(Section):
    """The whole configuration."""

    staging: PostgresConnection
    systems: dict[str, System]
    rules: Rules = Rules()
    payment_upload: PaymentUpload = PaymentUpload()
    run: Run = Run()

    def postgres_systems(self) -> Mapping[str, PostgresSystem]:
        """The PostgreSQL systems by name."""
        return {n: s for n, s in self.systems.items() if isinstance(s, PostgresSystem)}

    def oracle_systems(self) -> Mapping[str, OracleSystem]:
        """The Oracle systems by name."""
        return {n: s for n, s in self.systems.items() if isinstance(s, OracleSystem)}


def known_zone(value: str) -> str:
    """Return `value` if it names a time zone, else raise ValueError."""
    if value not in available_timezones():
        raise ValueError(f"unknown time zone {value!r}, expected a name such as Africa/Douala")
    ZoneInfo(value)
    return value


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read and check the configuration file.

    Args:
        path: the TOML file.
        environment: variables that start with CCBRIDGE_ override keys, `__` between levels.

    Raises:
        ConfigurationError: the file is missing, is no TOML, or has faults; all are listed.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ConfigurationError(
            [f"{path}: no such file"], hint=f"write one: ccbridge init --config {path}"
        ) from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError([f"{path}: {exc}"]) from exc
    for name, value in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name:
            _override(tree, name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"), value)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as exc:
        raise ConfigurationError([_fault(path, error) for error in exc.errors()]) from exc
    faults = list(_transport_faults(settings))
    if faults:
        raise ConfigurationError(faults, hint="use TLS, or set insecure = true for a test system")
    return settings


def _override(tree: dict[str, Any], keys: list[str], value: str) -> None:
    for key in keys[:-1]:
        below = tree.setdefault(key, {})
        if not isinstance(below, dict):
            return
        tree = below
    tree[keys[-1]] = value


def _fault(path: Path, error: Mapping[str, Any]) -> str:
    """One line for a pydantic error, without the value found (it may be a secret)."""
    place = ".".join(str(part) for part in error["loc"] if part not in ("postgres", "oracle"))
    if error["type"] == "extra_forbidden":
        return f"{path}: {place}: unknown key"
    return f"{path}: {place}: {error['msg'].removeprefix('Value error, ')}"


def _transport_faults(settings: Settings) -> list[str]:
    faults = []
    connections: dict[str, PostgresConnection] = {"staging": settings.staging}
    connections |= {f"systems.{name}": s for name, s in settings.postgres_systems().items()}
    for place, connection in connections.items():
        if connection.sslmode in ("require", "disable") and not connection.insecure:
            faults.append(f"{place}: sslmode {connection.sslmode!r} does not verify the server")
    for name, system in settings.oracle_systems().items():
        if "tcps" not in system.dsn.lower() and not system.insecure:
            faults.append(f"systems.{name}: dsn without tcps is not encrypted")
    return faults
