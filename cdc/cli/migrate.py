"""`ccbridge migrate`: bring the staging schema to this release and this rule set."""

from __future__ import annotations

from cdc import config as configuration
from cdc import log
from cdc.terminal.options import DEFAULT_CONFIG, Config, LogFormat, Verbose
from cdc.terminal.output import say


def command(
    config: Config = DEFAULT_CONFIG, log_format: LogFormat = "auto", verbose: Verbose = False
) -> None:
    """Create or upgrade the staging schema.

    Additive for entity tables, never destructive.
    """
    log.configure(log_format, verbose=verbose)
    settings = configuration.load(config)
    from cdc.rule_set import load_rules
    from cdc.staging.schema.migrate import migrate

    report = migrate(settings.staging, load_rules(settings))
    say(report.summary)
