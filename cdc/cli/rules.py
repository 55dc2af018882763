"""`ccbridge rules`: check, test, show and begin a rule set; only `new` looks into a database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from cdc import config as configuration
from cdc import log
from cdc.errors import ConfigurationError, ExitCode, RuleErrors
from cdc.terminal.options import DEFAULT_CONFIG, Config, Format
from cdc.terminal.output import say, show
from mapping_rules import RuleSet

app = typer.Typer(help="Check, test, show and begin mapping rules.", no_args_is_help=True)

RulesPath = Annotated[
    str | None,
    typer.Argument(
        help="A folder, or the name of a shipped rule set. [default: rules.path of the configuration; "
        "ccb_prepaid without a configuration]",
        show_default=False,
    ),
]
CheckFormat = Annotated[
    Literal["table", "json", "github"],
    typer.Option(
        "--format",
        help="table; errors as json: one object a line; github: as annotations of a workflow.",
        envvar="CCBRIDGE_FORMAT",
    ),
]
DEFAULT_RULES = "ccb_prepaid"
_ERROR = re.compile(r"(?P<file>[^:]+):(?P<line>\d+):(?P<column>\d+): (?P<text>.*)", re.DOTALL)


@app.command()
def check(rules: RulesPath = None, config: Config = DEFAULT_CONFIG, form: CheckFormat = "table") -> None:
    """Report every error in the rules with file, line and column."""
    log.configure()
    with _errors_shown(rules, config, form):
        rule_set = _load(rules, config)
    if form == "table":
        say(
            f"rules ok: {rule_set.name} entities={len(rule_set.entities)} inbound={len(rule_set.inbound)} "
            f"outbound={len(rule_set.outbound)} digest={rule_set.digest[:12]}"
        )


@app.command(name="test")
def run_golden_rows(rules: RulesPath = None, config: Config = DEFAULT_CONFIG) -> None:
    """Run the golden rows that lie beside the rules."""
    log.configure()
    import mapping_rules

    results = mapping_rules.run_golden(_load(rules, config))
    failed = [result for result in results if result.differences]
    for result in failed:
        say(f"FAILED {result.name}")
        for line in result.differences:
            say(f"    {line}")
    say(f"golden rows: {len(results) - len(failed)} right, {len(failed)} wrong")
    raise typer.Exit(ExitCode.DIFFERENCES if failed else ExitCode.DONE)


@app.command(name="show")
def show_lineage(
    rules: RulesPath = None,
    only: Annotated[
        str,
        typer.Option(help="Lines that hold this text: a table, a column, an entity.", envvar="CCBRIDGE_ONLY"),
    ] = "",
    config: Config = DEFAULT_CONFIG,
    form: Format = "table",
) -> None:
    """Show where each column comes from and where it goes."""
    log.configure()
    import mapping_rules

    found = mapping_rules.lineage(_load(rules, config))
    rows = [row for row in found if only.casefold() in " ".join(map(str, row.values())).casefold()]
    show(rows, ("source", "entity_column", "how", "target"), form=form)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to write; it must be empty or not exist.")],
    like: Annotated[
        str, typer.Option("--from", help="Shipped rule set to start from.", envvar="CCBRIDGE_RULES_FROM")
    ] = DEFAULT_RULES,
) -> None:
    """Write a rule set of your own, made of a shipped one."""
    log.configure()
    from mapping_rules.starting import copied

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError([f"{folder}: is not an empty folder"], hint="give another folder")
    files = copied(like)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    say(f"wrote {len(files)} files into {folder}")
    say(f'next: set path = "{folder}" in [rules] of the configuration, then run: ccbridge rules check')


@app.command(name="new")
def new(
    table: Annotated[str, typer.Option("--table", help="Table, or schema.table, as its database spells it.")],
    system: Annotated[
        str | None, typer.Option("--system", help="System that has it. [default: the one that does]")
    ] = None,
    entity: Annotated[
        str | None, typer.Option("--entity", help="Name of the entity. [default: made of the table's name]")
    ] = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Write an entity and an inbound rule with the columns of a table.

    Into the rule set of the configuration, from the table as its database describes it.
    """
    log.configure()
    settings = configuration.load(config)
    from cdc.flows.checks.new_rule import new_rule

    for path in new_rule(settings, table, system=system, entity=entity):
        say(f"wrote {path}")
    say("next: look through both files, then run: ccbridge rules check, ccbridge migrate, ccbridge check")


def _load(rules: str | None, config: Path) -> RuleSet:
    """The rule set that is meant; says on standard error which one it is."""
    import mapping_rules

    path, owners, said = _meant(rules, config)
    say(f"rules: {path} ({said})", err=True)
    return mapping_rules.load(path, schemas=owners)


def _meant(rules: str | None, config: Path) -> tuple[str | Path, dict[str, str] | None, str]:
    """What to load, the owners to load it with, and who named it."""
    from cdc.rule_set import rules_path

    if rules is not None:
        return rules, None, "as given"
    if config == DEFAULT_CONFIG and not config.exists():
        return DEFAULT_RULES, None, "shipped, no configuration here"
    section, owners = configuration.load_rules_section(config)
    return rules_path(section), owners, f"rules.path of {config}"


@contextmanager
def _errors_shown(rules: str | None, config: Path, form: str) -> Iterator[None]:
    """Machine-readable errors go to standard output, with paths that an editor finds."""
    try:
        yield
    except RuleErrors as exc:
        if form == "table":
            raise
        folder = Path(_meant(rules, config)[0])
        found = list(_placed(exc.errors, folder))
        if form == "json":
            show(found, (), form=form)
        else:
            for one in found:
                say(f"::error file={one['file']},line={one['line']},col={one['column']}::{one['text']}")
        raise typer.Exit(exc.exit_code) from exc


def _placed(errors: Iterable[str], folder: Path) -> Iterator[dict[str, str | int]]:
    """File (with the rule set's folder), line, column and text of each error."""
    for error in errors:
        match = _ERROR.fullmatch(error)
        file = folder / match["file"] if match else folder
        if file.is_absolute() and file.is_relative_to(Path.cwd()):
            file = file.relative_to(Path.cwd())
        numbers = (int(match["line"]), int(match["column"])) if match else (1, 1)
        yield {
            "file": str(file),
            "line": numbers[0],
            "column": numbers[1],
            "text": match["text"] if match else error,
        }
