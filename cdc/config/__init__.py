"""The configuration: one TOML file plus environment variables for secrets.

`load` reads `ccbridge.toml`; every key can be overridden by an environment variable, for example
`CCBRIDGE_SYSTEMS__CCB__PASSWORD`. Unknown keys are refused and all errors are reported at once. `reference`
renders `docs/configuration.md`; `cdc.cli.init` writes a commented example.
"""

from cdc.config.oracle import OracleSystem, stored_name
from cdc.config.postgres import PostgresConnection, PostgresSystem
from cdc.config.reading import load, load_rules_section
from cdc.config.sections import SystemSection
from cdc.config.settings import PaymentUpload, Rules, Run, Settings, Status, System, Verify

__all__ = [
    "OracleSystem",
    "PaymentUpload",
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
