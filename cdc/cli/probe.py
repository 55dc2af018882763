"""`ccbridge probe`: try on a real database what the readers assume of it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.console import Console

from cdc import config as configuration
from cdc import log
from cdc.assumptions import Deadline, Report, Verdict
from cdc.errors import ConfigurationError
from cdc.terminal.options import DEFAULT_CONFIG, Config, Format, LogFormat, Verbose
from cdc.terminal.output import say, show

app = typer.Typer(
    no_args_is_help=True, help="Try on a real database what the readers assume of it.", rich_markup_mode=None
)

COUNTED = (
    (Verdict.HOLDS, "hold"),
    (Verdict.DIFFERS, "differ"),
    (Verdict.COULD_NOT_TRY, "could not be tried"),
)
COLUMNS = ("assumption", "verdict", "reason")
TELL_EVERY_S = 1.0

Timeout = Annotated[
    int,
    typer.Option("--timeout", min=10, max=300, help="Seconds that the probe may take.", show_default=True),
]


@app.command()
def oracle(
    system: Annotated[
        str | None, typer.Argument(help="Oracle system of the configuration. [default: the only one]")
    ] = None,
    scratch: Annotated[
        str | None,
        typer.Option(
            "--scratch",
            help="Schema for the test tables, made for this. [default: the bridge's own user]",
            envvar="CCBRIDGE_PROBE_SCHEMA",
        ),
    ] = None,
    scratch_dsn: Annotated[
        str | None,
        typer.Option(
            "--scratch-dsn",
            envvar="CCBRIDGE_PROBE_DSN",
            help="Where its owner logs in, as the service of a pluggable database. [default: the system's]",
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            "--password-file",
            help="File with the password of the schema's owner. [default: CCBRIDGE_PROBE_PASSWORD]",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Write the redo of the test rows there: JSON lines without names."),
    ] = None,
    only_statements: Annotated[
        bool,
        typer.Option(
            "--statements",
            help="Only parse every statement that ccbridge sends, for the tables of the rule set; no schema.",
        ),
    ] = False,
    watch_s: Annotated[
        int, typer.Option("--watch", min=0, max=60, help="Seconds for which V$THREAD is watched.")
    ] = 60,
    timeout_s: Timeout = 300,
    config: Config = DEFAULT_CONFIG,
    form: Format = "table",
    log_format: LogFormat = "auto",
    verbose: Verbose = False,
) -> None:
    """Make test tables in a scratch schema, change them, and compare what LogMiner shows with what we assume.

    Nothing else is written, and the tables are dropped at the end.
    """
    log.configure(log_format, verbose=verbose)
    settings = configuration.load(config)
    from cdc.config import OracleSystem
    from cdc.flows.checks.probe import chosen, parse_statements, probe_oracle
    from cdc.readers.logminer.probing.scratch import ScratchPlace

    name, found = chosen(settings, system, OracleSystem)
    if only_statements:
        with _progress(timeout_s) as progress:
            report = parse_statements(settings, name, deadline=Deadline(timeout_s), progress=progress)
        _show(report, form)
    schema = (scratch or found.user).upper()
    place = ScratchPlace(schema, _password(password_file), scratch_dsn)
    with _progress(timeout_s) as progress, _interruptible():
        report = probe_oracle(
            settings, name, place, file=file, deadline=Deadline(timeout_s), watch_s=watch_s, progress=progress
        )
    _show(report, form)


@app.command()
def postgres(
    system: Annotated[
        str | None, typer.Argument(help="PostgreSQL system of the configuration. [default: the only one]")
    ] = None,
    scratch: Annotated[
        str | None,
        typer.Option(
            "--scratch",
            envvar="CCBRIDGE_PROBE_POSTGRES_SCHEMA",
            help="Schema for a test table, in which the bridge's role may create. [default: none is made]",
        ),
    ] = None,
    timeout_s: Timeout = 60,
    config: Config = DEFAULT_CONFIG,
    form: Format = "table",
    log_format: LogFormat = "auto",
    verbose: Verbose = False,
) -> None:
    """Ask a PostgreSQL server, and whatever pooler lies before it, whether it is what we take it for."""
    log.configure(log_format, verbose=verbose)
    settings = configuration.load(config)
    from cdc.flows.checks.probe import probe_postgres

    with _interruptible():
        report = probe_postgres(settings, system, schema=scratch, deadline=Deadline(timeout_s))
    _show(report, form)


def _show(report: Report, form: str) -> None:
    rows = [
        {
            "assumption": one.assumption.name,
            "verdict": str(one.verdict),
            "reason": one.reason,
            "hint": one.hint,
            "belief": one.assumption.belief,
            "source": one.assumption.source,
            "used_by": one.assumption.used_by,
        }
        for one in report.outcomes
    ]
    show(rows, COLUMNS, form=form)
    if form != "json":
        for hint in dict.fromkeys(one.hint for one in report.outcomes if one.hint):
            for line in hint.splitlines():
                say(f"hint: {line}")
        counts = ", ".join(f"{report.count(verdict)} {words}" for verdict, words in COUNTED)
        say(f"probe: {counts}")
    if report.interrupted:
        say("interrupted; the test tables are dropped", err=True)
    raise typer.Exit(report.exit_code)


def _password(file: Path | None) -> SecretStr | None:
    """The scratch schema's password, from a file or the environment, never from an argument."""
    if file is None:
        value = os.environ.get("CCBRIDGE_PROBE_PASSWORD")
        return SecretStr(value) if value else None
    try:
        return SecretStr(file.read_text(encoding="utf-8").rstrip("\r\n"))
    except OSError as exc:
        raise ConfigurationError(
            [f"--password-file {file}: {exc.strerror}"], hint="create the file, readable by you only"
        ) from exc


@contextmanager
def _progress(timeout_s: int) -> Iterator[Callable[[str], None]]:
    """What is being done, on standard error: a status line on a terminal, else a line a second at most."""
    began = time.monotonic()

    def line(text: str) -> str:
        return f"{time.monotonic() - began:3.0f} s of {timeout_s} s: {text}"

    if sys.stderr.isatty():
        with Console(stderr=True).status("") as status:
            yield lambda text: status.update(line(text))
        return
    last = -TELL_EVERY_S

    def progress(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= TELL_EVERY_S:
            last = time.monotonic()
            say(line(text), err=True)

    yield progress


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends a probe as Ctrl-C does, so that its tables are dropped."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
