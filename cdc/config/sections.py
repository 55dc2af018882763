"""What every section of the configuration shares: strict keys, paths, passwords."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from cdc.errors import ConfigurationError
from cdc.kinds import KINDS
from cdc.printable import register_secret

ENVIRONMENT_PREFIX = "CCBRIDGE_"


def _placed(path: Path, info: ValidationInfo) -> Path:
    """A relative path is meant from the folder of the configuration file: services start in any."""
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path


ConfiguredPath = Annotated[Path, AfterValidator(_placed)]


class Section(BaseModel):
    """A table of the TOML file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SystemSection(Section):
    """What every system has; `cdc.kinds` has the classes, by kind."""

    schema_key: ClassVar[str | None] = None
    """Key with the schema of tables that rules name without one; None for the rule set's own."""

    kind: str = Field(description="what the system is")
    reader: str = Field(default="", description="how it is captured")
    time_zone: str = Field(default="UTC", description="zone in which the site's dates are meant")

    @field_validator("reader", check_fields=False)
    @classmethod
    def reader_is_known(cls, value: str, info: ValidationInfo) -> str:
        """Refuse a reader that the kind of system does not have."""
        kind = KINDS.get(info.data.get("kind", ""))
        if kind is not None and value not in kind.readers:
            known = " or ".join(map(repr, kind.readers))
            raise ValueError(f"expected {known}" if known else "systems of this kind are not captured")
        return value

    @field_validator("time_zone")
    @classmethod
    def zone_is_known(cls, value: str) -> str:
        """Refuse a zone the time zone database does not have."""
        return known_zone(value)

    @property
    def default_schema(self) -> str | None:
        """Schema of tables that rules name without one; None for the rule set's own."""
        return None if self.schema_key is None else str(getattr(self, self.schema_key))

    def transport_errors(self, place: str, *, insecure: bool) -> Iterator[str]:
        """What keeps its connections from being protected, where `insecure` is not allowed."""
        del place, insecure
        yield from ()

    def position_text(self, position: int) -> str | int:
        """A position of its stream in its own notation."""
        return int(position)


class Secret(Section):
    """A password from the environment or from a file, never from the TOML file of a real site."""

    password: SecretStr | None = Field(
        default=None, description="password; from the environment only, never in the file"
    )
    password_file: ConfiguredPath | None = Field(
        default=None, description="file that has the password, readable by the service's user only"
    )
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
        return secret_text(self.password, self.password_file, "password_file")


def secret_text(value: SecretStr | None, file: Path | None, key: str) -> str | None:
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


def known_zone(value: str) -> str:
    """Return `value` if it names a time zone, else raise ValueError."""
    if value not in available_timezones():
        raise ValueError(f"unknown time zone {value!r}, expected a name such as Africa/Douala")
    ZoneInfo(value)
    return value
