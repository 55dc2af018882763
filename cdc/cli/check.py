"""`ccbridge check`: everything that would keep `run` from working, before anything is written."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cdc import config as configuration
from cdc import log
from cdc.terminal.options import DEFAULT_CONFIG, Config, Format, LogFormat, Verbose
from cdc.terminal.output import say, show


def command(
    sql: Annotated[
        str | None,
        typer.Option(
            "--sql",
            metavar="SYSTEM",
            help="Print a script for the DBA of this system, or of staging, for psql or SQL*Plus.",
        ),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    form: Format = "table",
    log_format: LogFormat = "auto",
    verbose: Verbose = False,
) -> None:
    """Check all that run needs; print the SQL that fixes each finding.

    Looks at configuration, rules, databases, rights and both schemas; writes nothing.
    """
    log.configure(log_format, verbose=verbose)
    settings = configuration.load(config)
    from cdc.flows.checks.fix_script import fix_script
    from cdc.flows.checks.preflight import missing_log, preflight, refused_targets
    from cdc.rule_set import load_rules

    rule_set = load_rules(settings)
    report = preflight(settings, rule_set)
    missing_log(settings, rule_set, report)
    refused_targets(settings, rule_set, report)
    findings = report.findings + report.advice
    if sql is not None:
        for line in fix_script(settings, sql, findings):
            say(line)
    elif form == "json":
        show(({"system": one.system, **asdict(one.finding)} for one in findings), (), form=form)
    else:
        for one in findings:
            say(f"{one} (advice)" if one.finding.advice else str(one))
            for line in one.finding.fix.splitlines():
                say(f"    {line}")
        count = len(report.findings)
        result = f"{count} finding(s)" if count else "check ok"
        say(f"{result}, {len(report.advice)} piece(s) of advice" if report.advice else result)
    raise typer.Exit(report.exit_code)
