"""`ccbridge`: the command line. Each verb has a module beside this one.

A verb imports drivers and frames when it needs them, so help and usage errors come at once.
Exit codes are `cdc.errors.ExitCode`.
"""

from __future__ import annotations

import sys

import structlog
import typer

import cdc.log
from cdc import __version__
from cdc.cli import check, demo, grants, init, migrate, probe, rules, run, snapshot, status, targets, verify
from cdc.errors import CcbridgeError, ExitCode
from cdc.kinds import EXTENSIONS, resolved
from cdc.terminal.output import say

log = structlog.get_logger(__name__)

app = typer.Typer(
    name="ccbridge",
    help="Replicate between Oracle and PostgreSQL systems, by rules.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 differences, or status reports a problem, 2 usage or configuration, "
    "3 database unreachable, 4 an operator is needed, 5 verify did not compare all.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for verb in (init, check, grants, migrate, run, snapshot, status, verify, demo):
    app.command(name=verb.__name__.rpartition(".")[2])(verb.command)
app.add_typer(rules.app, name="rules")
app.add_typer(probe.app, name="probe")
app.add_typer(targets.app, name="targets")
for verbs in resolved(one.command for one in EXTENSIONS.values()):
    app.add_typer(verbs)


@app.command(name="help", hidden=True)
def show_help(
    context: typer.Context,
    man: bool = typer.Option(False, "--man", help="Print the manual page, for man -l."),
) -> None:
    """Show this help, as --help does."""
    if context.parent is None:
        return
    if man:
        from cdc.terminal.manual import page

        say(page(context.parent.command).rstrip())
        return
    say(context.parent.get_help())


def _show_version(requested: bool) -> None:
    if requested:
        say(f"ccbridge {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    del version


def main() -> None:
    """Run a command; turn errors into `error <code>: <message>`, the traceback into a log event."""
    cdc.log.configure()
    try:
        app(prog_name="ccbridge")
    except CcbridgeError as exc:
        log.debug("command_failed", error_code=exc.code, exc_info=exc)
        say(f"error {exc.code}: {exc}", err=True)
        if exc.hint:
            say(f"hint: {exc.hint}", err=True)
        sys.exit(exc.exit_code)
    except KeyboardInterrupt:
        say("interrupted", err=True)
        sys.exit(ExitCode.DONE)
    except Exception as exc:
        log.exception("command_crashed")
        say(f"error {CcbridgeError.code}: unexpected {type(exc).__name__}", err=True)
        say("hint: report it with the log event command_crashed", err=True)
        sys.exit(ExitCode.OPERATOR)
