"""`ccbridge check`: everything that would keep `run` from working, before anything is written."""

from __future__ import annotations

from dataclasses import asdict

import typer

from cdc import config as configuration
from cdc import log
from cdc.cli.options import DEFAULT_CONFIG, Config, Format, LogFormat, Verbose
from cdc.cli.output import show


def command(
    config: Config = DEFAULT_CONFIG,
    form: Format = "table",
    log_format: LogFormat = "auto",
    verbose: Verbose = False,
) -> None:
    """Check configuration, rules, databases and grants; print the statement that mends each finding."""
    log.configure(log_format, verbose=verbose)
    settings = configuration.load(config)
    from cdc.flows.preflight import preflight
    from cdc.flows.rule_set import load_rules

    report = preflight(settings, load_rules(settings))
    findings = report.findings
    if form == "json":
        show(({"system": one.system, **asdict(one.finding)} for one in findings), (), form=form)
    else:
        for one in findings:
            typer.echo(str(one))
            for line in one.finding.fix.splitlines():
                typer.echo(f"    {line}")
        typer.echo("check ok" if not findings else f"{len(findings)} finding(s)")
    raise typer.Exit(report.exit_code)
