"""The configuration: one TOML file plus environment variables for secrets.

`load` reads `ccbridge.toml`; every key can be overridden by an environment variable, for example
`CCBRIDGE_SYSTEMS__CCB__PASSWORD`. Unknown keys are refused and all faults are reported at once.
`cdc.cli.init` writes a commented example.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cdc.errors import ConfigurationError
from cdc.printable import register_secret
from cdc.transport import oracle_faults, postgres_faults

ENVIRONMENT_PREFIX = "CCBRIDGE_"
SECRET_KEYS = ("password", "wallet_password")


def _placed(path: Path, info: ValidationInfo) -> Path:
    """A relative path is meant from the folder of the configuration file: services start in any."""
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path


ConfiguredPath = Annotated[Path, AfterValidator(_placed)]


class Section(BaseModel):
    """A table of the TOML file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(Section):
    """A password from the environment or from a file, never from the TOML file of a real site."""

    password: SecretStr | None = None
    password_file: ConfiguredPath | None = None
    _section: str = PrivateAttr("systems.<name>")

    @property
    def password_hint(self) -> str:
        """How to give the password that is missing."""
        variable = ENVIRONMENT_PREFIX + self._section.replace(".", "__").upper() + "__PASSWORD"
        return f"set the environment variable {variable}, or password_file in [{self._section}]"

    def secret(self) -> str | None:
        """The password, or None where none is configured (peer or certificate login).

        Raises:
            ConfigurationError: the file cannot be read.
        """
        return _secret(self.password, self.password_file, "password_file")


def _secret(value: SecretStr | None, file: Path | None, key: str) -> str | None:
    """What is configured as a value, or in a file; never shown from then on."""
    found = value.get_secret_value() if value is not None else _file_text(file, key) if file else None
    if found:
        register_secret(found)
    return found


def _file_text(path: Path, key: str) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as exc:
        raise ConfigurationError(
            [f"{key} {path}: {exc.strerror}"], hint="create the file, readable by the ccbridge user only"
        ) from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(
            [f"{key} {path}: not UTF-8 at byte {exc.start}"], hint="save it as UTF-8"
        ) from exc


class PostgresConnection(Secret):
    """How to reach a PostgreSQL database. TLS with a verified certificate unless `insecure`."""

    host: str
    port: int = 5432
    database: str
    user: str
    sslmode: Literal["verify-full", "verify-ca", "require", "disable"] = "verify-full"
    sslrootcert: ConfiguredPath | None = None
    insecure: bool = Field(default=False, description="allow a sslmode below verify-full")
    allowed_rights: tuple[str, ...] = Field(
        default=(), description="rights over everything that the role may have: superuser, createrole, .."
    )
    connect_timeout_s: int = 10


class PostgresSystem(PostgresConnection):
    """A PostgreSQL system that is captured, written, or both."""

    kind: Literal["postgres"]
    reader: Literal["pgoutput", "debezium"] = "pgoutput"
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
    reader: Literal["logminer", "debezium"] = "logminer"
    dsn: str
    user: str
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
    wallet_password_file: ConfiguredPath | None = None
    insecure: bool = Field(default=False, description="allow a connection without TLS")
    allowed_rights: tuple[str, ...] = Field(
        default=(), description="rights and roles over everything that the user may have: DBA, .."
    )
    connect_timeout_s: int = 10
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

    @field_validator("time_zone")
    @classmethod
    def zone_is_known(cls, value: str) -> str:
        """Refuse a zone the time zone database does not have."""
        return known_zone(value)

    def dsns(self, place: str) -> Iterator[tuple[str, str]]:
        """Every address, the main one first, each with the section or key that has it."""
        yield place, self.dsn
        for thread, dsn in sorted(self.instances.items()):
            yield f"{place}.instances.{thread}", dsn

    def wallet_secret(self) -> str | None:
        """The password of the wallet's private key, or None if it has none.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        return _secret(self.wallet_password, self.wallet_password_file, "wallet_password_file")

    @field_validator("pdb")
    @classmethod
    def pdb_as_stored(cls, value: str | None) -> str | None:
        """Take the name as Oracle stores it."""
        return None if value is None else stored_name(value)

    @model_validator(mode="after")
    def options_are_the_readers(self) -> OracleSystem:
        """Refuse what the reader would not look at."""
        given = sorted(self.model_fields_set & _ONLY_LOGMINER)
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


_ONLY_LOGMINER = frozenset(
    {
        *(
            "max_window_scn",
            "query_timeout_s",
            "session_max_age_s",
            "session_max_pga_bytes",
            "archive_destinations",
            "instances",
        ),
        *("pdb", "apply_log", "unescaped_apostrophes", "lobs_from_redo", "spill_directory"),
        *("open_transaction_bytes", "open_transaction_write_s", "open_transaction_alarm_share"),
    }
)

System = Annotated[PostgresSystem | OracleSystem, Field(discriminator="kind")]


class Rules(Section):
    """Where the rule set is: the name of a shipped one, or a folder."""

    path: str = "ccb_prepaid"
    _folder: Path = PrivateAttr(Path())

    def model_post_init(self, context: Any, /) -> None:
        """Keep the folder from which a relative path is meant."""
        self._folder = (context or {}).get("folder", Path())

    @property
    def folder(self) -> Path:
        """The rule set's folder, if `path` is not the name of a shipped one."""
        return self._folder / self.path


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
    idle_poll_ms: int = Field(
        default=10_000,
        ge=1,
        description="how often an idle sink looks at staging, and an idle capture moves its checkpoint; "
        "what changes is staged and delivered at once, whatever this is",
    )
    retry_held_s: int = Field(default=5, ge=1, description="how often held keys are tried again")
    lease_ttl_s: int = Field(
        default=15, ge=3, description="a lease not renewed for so long may be taken over"
    )


class Status(Section):
    """From when on `ccbridge status` tells that something waits for a person."""

    lag_alarm_s: int = Field(default=900, ge=1, description="a flow is behind by more than this, seconds")
    retry_alarm_s: int = Field(default=60, ge=1, description="a flow retries for longer than this, seconds")
    receipt_alarm_s: int = Field(
        default=900, ge=1, description="a receipt is not posted for longer than this, seconds"
    )


class Settings(Section):
    """The whole configuration."""

    staging: PostgresConnection
    systems: dict[str, System]
    rules: Rules = Rules()
    payment_upload: PaymentUpload = PaymentUpload()
    run: Run = Run()
    status: Status = Status()

    def model_post_init(self, context: Any, /) -> None:
        """Let each section know its name."""
        self.staging._section = "staging"
        for name, system in self.systems.items():
            system._section = f"systems.{name}"

    def postgres_systems(self) -> Mapping[str, PostgresSystem]:
        """The PostgreSQL systems by name."""
        return {n: s for n, s in self.systems.items() if isinstance(s, PostgresSystem)}

    def oracle_systems(self) -> Mapping[str, OracleSystem]:
        """The Oracle systems by name."""
        return {n: s for n, s in self.systems.items() if isinstance(s, OracleSystem)}


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

    Relative paths are meant from the folder of the file, those of the environment too.

    Raises:
        ConfigurationError: the file is missing, is no TOML, or has faults; all are listed.
    """
    tree = _tree(path)
    in_file = list(_secrets_in_file(path, tree))
    origins = _overridden(tree, environment)
    try:
        settings = Settings.model_validate(tree, context={"folder": path.resolve().parent})
    except ValidationError as exc:
        faults = [_fault(path, origins, error) for error in exc.errors()]
        raise ConfigurationError(in_file + faults, hint="ccbridge init writes a commented example") from exc
    faults = in_file + [
        f"{path}: {fault}" for fault in (*_transport_faults(settings), *_file_faults(settings))
    ]
    if faults:
        raise ConfigurationError(
            faults, hint="correct the file; on a test system insecure = true allows connections without TLS"
        )
    return settings


class _RulesOnly(BaseModel):
    """What the verbs of rules need of a configuration: they run where no database is."""

    rules: Rules = Rules()
    systems: dict[str, dict[str, Any]] = {}


def load_rules_section(
    path: Path, environment: Mapping[str, str] = os.environ
) -> tuple[Rules, dict[str, str]]:
    """Which rule set a configuration names, and the schema owners that it gives by system.

    Nothing else of the file is checked: certificates and passwords may be elsewhere.

    Raises:
        ConfigurationError: the file is missing, is not TOML, or the section is wrong.
    """
    tree = _tree(path)
    origins = _overridden(tree, environment)
    try:
        found = _RulesOnly.model_validate(tree, context={"folder": path.resolve().parent})
    except ValidationError as exc:
        raise ConfigurationError([_fault(path, origins, error) for error in exc.errors()]) from exc
    default = OracleSystem.model_fields["owner"].default
    return found.rules, {
        name: str(system.get("owner", default))
        for name, system in found.systems.items()
        if system.get("kind") == "oracle"
    }


def _overridden(tree: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Put the environment's values over the file's; returns the variable by key."""
    origins: dict[str, str] = {}
    for name, value in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name:
            keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            origins[".".join(keys)] = name
            _override(tree, keys, value)
    return origins


def _tree(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ConfigurationError(
            [f"{path}: no such file"], hint=f"write one: ccbridge init --config {path}"
        ) from exc
    except OSError as exc:
        raise ConfigurationError([f"{path}: {exc.strerror}"], hint="give a file that can be read") from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError([f"{path}: not UTF-8 at byte {exc.start}"], hint="save it as UTF-8") from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError([f"{path}: no TOML: {exc}"], hint="mend the line") from exc


def _override(tree: dict[str, Any], keys: list[str], value: str) -> None:
    for key in keys[:-1]:
        below = tree.setdefault(key, {})
        if not isinstance(below, dict):
            return
        tree = below
    tree[keys[-1]] = value


def _fault(path: Path, origins: Mapping[str, str], error: Mapping[str, Any]) -> str:
    """One line for a pydantic error, without the value found (it may be a secret)."""
    parts = [str(part) for part in error["loc"]]
    if len(parts) > 2 and parts[0] == "systems":
        del parts[2]  # which kind of system it was taken for
    key = ".".join(parts)
    place = origins.get(key) or f"{path}: {key}"
    if error["type"] == "extra_forbidden":
        near = get_close_matches(parts[-1], _known_keys(error["loc"]), n=1)
        return f"{place}: unknown key" + (f", did you mean {near[0]!r}?" if near else "")
    if error["type"] == "missing":
        return f"{place}: missing"
    if error["type"].startswith("union_tag"):
        return f"{place}.kind: expected 'oracle' or 'postgres'"
    text = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")
    return f"{place}: {text[:1].lower()}{text[1:]}"


def _known_keys(location: Sequence[str | int]) -> list[str]:
    """Keys of the section in which a fault was found."""
    section: type[Section] = Settings
    for part in location[:-1]:
        if part in ("postgres", "oracle"):
            section = PostgresSystem if part == "postgres" else OracleSystem
        elif part in Settings.model_fields and part != "systems":
            kind = Settings.model_fields[str(part)].annotation
            section = kind if isinstance(kind, type) and issubclass(kind, Section) else section
    return list(section.model_fields)


def _transport_faults(settings: Settings) -> Iterator[str]:
    connections: dict[str, PostgresConnection] = {"staging": settings.staging}
    connections |= {f"systems.{name}": s for name, s in settings.postgres_systems().items()}
    for place, connection in connections.items():
        yield from postgres_faults(place, connection.sslmode, insecure=connection.insecure)
    for name, system in settings.oracle_systems().items():
        for place, dsn in system.dsns(f"systems.{name}"):
            yield from oracle_faults(place, dsn, insecure=system.insecure)


def _file_faults(settings: Settings) -> Iterator[str]:
    """Files that the configuration names and that are not there."""
    sections: dict[str, Secret] = {"staging": settings.staging}
    sections |= {f"systems.{name}": system for name, system in settings.systems.items()}
    for place, section in sections.items():
        for key in ("password_file", "sslrootcert", "wallet", "wallet_password_file"):
            named: Path | None = getattr(section, key, None)
            if named is not None and not named.exists():
                yield f"{place}.{key}: {named} does not exist"
            elif named is not None and key.endswith("password_file") and named.stat().st_mode & 0o007:
                yield f"{place}.{key}: {named} can be read by every user, run: chmod o-rwx {named}"


def _secrets_in_file(path: Path, tree: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """Passwords in the file itself, which is copied, shown and committed as configurations are."""
    for key, value in tree.items():
        name = f"{place}.{key}" if place else key
        if isinstance(value, Mapping):
            yield from _secrets_in_file(path, value, name)
        elif key in SECRET_KEYS:
            variable = ENVIRONMENT_PREFIX + name.replace(".", "__").upper()
            yield f"{path}: {name}: no secrets in this file, set {variable} or {key}_file"
