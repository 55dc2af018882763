"""The whole configuration: systems by name, and the sections that are there once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field, PrivateAttr, create_model

from cdc.config.oracle import OracleSystem
from cdc.config.postgres import PostgresConnection, PostgresSystem
from cdc.config.sections import Secret, Section
from cdc.errors import ConfigurationError
from cdc.kinds import EXTENSIONS, KINDS, resolve, resolved

SectionType = TypeVar("SectionType", bound=Section)

if TYPE_CHECKING:  # what the code names; what every kind has is in SystemSection
    System = PostgresSystem | OracleSystem
else:  # the section of its kind
    _SECTIONS = [resolve(kind.section) for kind in KINDS.values()]
    System = Annotated[reduce(or_, _SECTIONS), Field(discriminator="kind")]


class Rules(Section):
    """Where the rule set is: the name of a shipped one, or a folder."""

    path: str = Field(default="ccb_prepaid", description="name of a shipped rule set, or a folder")
    _folder: Path = PrivateAttr(Path())

    def model_post_init(self, context: Any, /) -> None:
        """Keep the folder from which a relative path is meant."""
        self._folder = (context or {}).get("folder", Path())

    @property
    def folder(self) -> Path:
        """The rule set's folder, if `path` is not the name of a shipped one."""
        return self._folder / self.path


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
    """When `ccbridge status` reports a problem."""

    lag_alarm_s: int = Field(default=900, ge=1, description="a flow is behind by more than this, seconds")
    retry_alarm_s: int = Field(default=60, ge=1, description="a flow retries for longer than this, seconds")


class Verify(Section):
    """How sources, staging and targets are compared."""

    digest: Literal["md5", "sha256"] = Field(
        default="md5",
        description="hash of the digests of rows; sha256 where a server in FIPS mode refuses md5, "
        "which takes longer",
    )


class _Settings(Section):
    """The whole configuration; with the sections of sinks it is `Settings`."""

    staging: PostgresConnection = Field(description="the database of the staging schema")
    systems: dict[str, System] = Field(description="the systems by name, as the rule set names them")
    rules: Rules = Rules()
    run: Run = Run()
    status: Status = Status()
    verify: Verify = Verify()

    def model_post_init(self, context: Any, /) -> None:
        """Let each section know its name."""
        self.staging._section = "staging"
        for name, system in self.systems.items():
            if isinstance(system, Secret):
                system._section = f"systems.{name}"

    def system(self, name: str, kind: type[SectionType]) -> SectionType:
        """A system of one kind.

        Raises:
            ConfigurationError: there is none of that name, or it is of another kind.
        """
        found = self.systems.get(name)
        if not isinstance(found, kind):
            known = ", ".join(sorted(n for n, one in self.systems.items() if isinstance(one, kind)))
            raise ConfigurationError([f"system {name}: expected one of {known or 'none'}"])
        return found

    def section(self, name: str, kind: type[SectionType]) -> SectionType:
        """A section of a sink, or one to which a sink added keys."""
        found = getattr(self, name)
        if not isinstance(found, kind):
            raise TypeError(f"[{name}] is {type(found).__name__}, expected {kind.__name__}")
        return found


def sections_of_sinks() -> Mapping[str, type[Section]]:
    """The sections that sinks have, by name; one that there is anyway has its own keys first."""
    found: dict[str, type[Section]] = {}
    for name in sorted({name for one in EXTENSIONS.values() for name in one.sections}):
        classes = resolved(one.sections.get(name) for one in EXTENSIONS.values())
        if name in _Settings.model_fields:
            classes.append(_Settings.model_fields[name].annotation)
        bases = tuple(classes)
        found[name] = bases[0] if len(bases) == 1 else create_model(bases[-1].__name__, __base__=bases)
    return found


if TYPE_CHECKING:  # what the code names; a sink asks `section` for its own
    Settings = _Settings
else:
    Settings = create_model(
        "Settings",
        __base__=_Settings,
        __doc__="The whole configuration.",
        **{name: (section, section()) for name, section in sections_of_sinks().items()},
    )
