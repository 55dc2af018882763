"""`ccbridge rules`: check, test and show a rule set without touching a database."""

from __future__ import annotations

from typing import Annotated

import typer

from cdc import log
from cdc.cli.options import Format
from cdc.cli.output import say, show
from cdc.errors import ExitCode

app = typer.Typer(help="Check, test and show mapping rules.", no_args_is_help=True)

RulesPath = Annotated[str, typer.Argument(help="A folder, or the name of a shipped rule set.")]
DEFAULT_RULES = "ccb_prepaid"


@app.command()
def check(rules: RulesPath = DEFAULT_RULES) -> None:
    """Report every fault of the rules with file, line and column."""
    log.configure()
    import mapping_rules

    rule_set = mapping_rules.load(rules)
    say(
        f"rules ok: {rule_set.name} entities={len(rule_set.entities)} inbound={len(rule_set.inbound)} "
        f"outbound={len(rule_set.outbound)} digest={rule_set.digest[:12]}"
    )


@app.command(name="test")
def run_golden_rows(rules: RulesPath = DEFAULT_RULES) -> None:
    """Run the golden rows that lie beside the rules."""
    log.configure()
    import mapping_rules

    results = mapping_rules.run_golden(mapping_rules.load(rules))
    failed = [result for result in results if result.differences]
    for result in failed:
        say(f"FAILED {result.name}")
        for line in result.differences:
            say(f"    {line}")
    say(f"golden rows: {len(results) - len(failed)} right, {len(failed)} wrong")
    raise typer.Exit(ExitCode.DIFFERENCES if failed else ExitCode.DONE)


@app.command(name="show")
def show_lineage(rules: RulesPath = DEFAULT_RULES, form: Format = "table") -> None:
    """Show where each column comes from and where it goes."""
    log.configure()
    import mapping_rules

    rows = mapping_rules.lineage(mapping_rules.load(rules))
    show(rows, ("source", "entity_column", "how", "target"), form=form)
