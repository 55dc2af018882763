"""The configuration: one TOML file plus environment variables for secrets.

`load` reads `ccbridge.toml`; every key can be overridden by an environment variable, for example
`CCBRIDGE_SYSTEMS__NAME__PASSWORD`. Unknown keys are refused and all errors are reported at once. `reference`
renders `docs/configuration.md`; `cdc.cli.init` writes a commented example.
"""

from typing import TYPE_CHECKING, Any

from cdc.config.oracle import OracleSystem, stored_name
from cdc.config.postgres import PostgresConnection, PostgresSystem
from cdc.config.sections import SystemSection

if TYPE_CHECKING:
    from cdc.config.reading import load, load_rules_section
    from cdc.config.settings import Rules, Run, Settings, Status, System, Verify

__all__ = [
    "OracleSystem",
    "PostgresConnection",
    "PostgresSystem",
    "Rules",
    "Run",
    "Settings",
    "Status",
    "System",
    "SystemSection",
    "Verify",
    "load",
    "load_rules_section",
    "stored_name",
]


def __getattr__(name: str) -> Any:
    """What needs the sections of all kinds: a sink's section may be imported before they are there."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cdc.config import reading, settings

    return getattr(reading if name in ("load", "load_rules_section") else settings, name)
