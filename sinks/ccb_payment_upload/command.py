"""`ccbridge receipts`: what a restored CC&B lost, and what to do about it."""

from __future__ import annotations

from typing import Annotated

import typer

from cdc import config as configuration
from cdc import log
from cdc.errors import ConfigurationError, ExitCode
from cdc.terminal.options import DEFAULT_CONFIG, Config, Format, stated
from cdc.terminal.output import say, show

app = typer.Typer(
    name="receipts",
    help="List receipts that a restored CC&B lost, and decide on them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Receipts = Annotated[list[str] | None, typer.Argument(help="Receipts of the list, by recharge id.")]
All = Annotated[bool, typer.Option("--all", help="All receipts of the list.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; put on record.", callback=stated)]


@app.command()
def lost(config: Config = DEFAULT_CONFIG, form: Format = "table") -> None:
    """List receipts that CC&B had before it was restored and no longer has; exit code 1 if there is one."""
    log.configure()
    settings = configuration.load(config)
    from sinks.ccb_payment_upload.lost_receipts import listed
    from sinks.ccb_payment_upload.receipts.lost import COLUMNS, money

    rows = listed(settings)
    show(rows, COLUMNS, form=form)
    if form != "json":
        say(f"{len(rows)} receipts, {money(rows)}")
    raise typer.Exit(ExitCode.DIFFERENCES if rows else ExitCode.DONE)


@app.command(name="send-again")
def send_again(
    reason: Reason,
    receipts: Receipts = None,
    every: All = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Have lost receipts sent to CC&B again, each looked for in CC&B once more before.

    Receipts that CC&B holds after all are taken off the list instead.
    """
    log.configure()
    settings = configuration.load(config)
    keys = _chosen(receipts, every)
    from sinks.ccb_payment_upload import lost_receipts
    from sinks.ccb_payment_upload.receipts.lost import money

    plan = lost_receipts.plan(settings, keys)
    if plan.there:
        say(f"{len(plan.there)} receipts are in CC&B after all: taken off the list")
    if not plan.lost:
        say("nothing to send")
        return
    question = f"send {len(plan.lost)} receipts, {money(plan.lost)}, to CC&B again?"
    if not yes and not typer.confirm(question):
        raise typer.Exit(ExitCode.DONE)
    again = lost_receipts.send_again(settings, plan, reason)
    say(f"{len(again)} receipts, {money(again)}: ccbridge run sends them")


@app.command()
def close(
    reason: Reason,
    receipts: Receipts = None,
    every: All = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Take lost receipts off the list without sending them: CC&B was given the money in another way."""
    log.configure()
    settings = configuration.load(config)
    keys = _chosen(receipts, every)
    from sinks.ccb_payment_upload import lost_receipts

    say(f"{lost_receipts.close(settings, keys, reason)} receipts taken off the list")


def _chosen(receipts: list[str] | None, every: bool) -> list[str]:
    """The receipts that were named; none for all.

    Raises:
        ConfigurationError: neither or both were given.
    """
    if bool(receipts) == every:
        raise ConfigurationError(["receipts: expected names of receipts, or --all"])
    return receipts or []
