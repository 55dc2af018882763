"""What texts tell an operator to do can be done: commands, options, settings and sections exist.

Read from the source, so that a text is looked at whether or not a test meets it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from cdc import errors
from cdc.cli.main import app
from cdc.config import OracleSystem, PostgresSystem, Rules, Run, Settings, Status
from tests.support.errors import error_kinds

ROOT = Path(__file__).parents[2]
ROOMS = ("cdc", "sinks", "mapping_rules", "migrations")
COMMAND = re.compile(r"\bccbridge (?P<words>[a-z]+(?: [a-z-]+)?)(?P<rest>[^;,\n]*)")
Reported = re.compile(r"\b(?:run|then run|start|prints?|by|with|shows?)[: ]+(?=ccbridge [a-z])")
SECTION = re.compile(r'see "([^"]+)" in (docs/[a-z]+\.md)|\b(docs/[a-z]+\.md)(?:#([\w-]+))?')
KINDS = error_kinds()
SAY_SO_THEMSELVES = {
    *(name for name, kind in KINDS.items() if issubclass(kind, errors.RowError)),  # a reason beside the row
    "ConfigurationError",  # each failure says what is expected
    *(name for name, kind in KINDS.items() if "__init__" in vars(kind) and name != "CcbridgeError"),
}


@dataclass(frozen=True)
class Source:
    """A module: its texts and hints, each with its line, and where errors of ours are made without a hint."""

    path: str
    texts: tuple[tuple[int, str], ...]
    hints: tuple[tuple[int, str], ...]
    silent: tuple[int, ...]


@cache
def sources() -> tuple[Source, ...]:
    paths = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return tuple(map(read, paths))


def read(path: Path) -> Source:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    silent = (node.lineno for node in nodes if isinstance(node, ast.Call) and is_silent(node))
    name = str(path.relative_to(ROOT))
    return Source(name, tuple(texts(nodes)), tuple(hints(nodes)), tuple(silent))


def is_silent(call: ast.Call) -> bool:
    """Whether it makes an error of ours without saying what to do."""
    made = call.func.id if isinstance(call.func, ast.Name) else ""
    said = any(word.arg in ("hint", None) for word in call.keywords)
    return made in KINDS.keys() - SAY_SO_THEMSELVES and not said


def texts(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """The texts in a piece of code, `{}` for what is filled in; docstrings left out."""
    left_out = set()
    for one in nodes:
        if isinstance(one, ast.Expr):
            left_out.add(id(one.value))
        if isinstance(one, ast.JoinedStr) and id(one) not in left_out:
            left_out |= {id(part) for part in one.values}
            parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in one.values]
            yield one.lineno, "".join(parts)
        elif isinstance(one, ast.Constant) and isinstance(one.value, str) and id(one) not in left_out:
            yield one.lineno, one.value


def hints(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Texts given as `hint` or `fix`: by name, as fourth value of a Finding, or as a constant named so."""
    for node in nodes:
        if isinstance(node, ast.Call):
            given = [word.value for word in node.keywords if word.arg in ("hint", "fix")]
            if isinstance(node.func, ast.Name) and node.func.id == "Finding":
                given += node.args[3:4]
            for one in given:
                yield from texts(ast.walk(one))
        elif isinstance(node, ast.Assign) and re.search("HINT|FIX|CAUSES", ast.unparse(node.targets[0])):
            yield from texts(ast.walk(node.value))


@cache
def commands() -> dict[str, Any]:
    """Every command by its words."""
    found: dict[str, Any] = {}

    def walk(command: Any, words: str) -> None:
        found[words] = command
        for name, one in getattr(command, "commands", {}).items():
            walk(one, f"{words} {name}".strip())

    walk(typer.main.get_command(app), "")
    return found


def test_every_command_that_is_named_exists_with_its_options() -> None:
    """In any text that says to run it, and anywhere in a hint."""
    named = 0
    for source in sources():
        found = [(line, text, COMMAND.finditer(text)) for line, text in source.hints]
        for line, text in source.texts:
            found += [(line, text, COMMAND.finditer(text, match.end())) for match in Reported.finditer(text)]
        for line, text, matches in found:
            for match in matches:
                verb, *more = match["words"].split()
                if verb not in commands() and not re.search(r"run: ccbridge |run ccbridge ", text):
                    continue  # our name in a sentence
                words = " ".join([verb, *more])
                command = commands().get(words) or commands().get(verb)
                assert command is not None, f"{source.path}:{line}: no command {match[0]!r}"
                options = {name for one in command.params for name in one.opts}
                wrong = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", match["rest"])) - options
                assert not wrong, f"{source.path}:{line}: {words} has no {wrong}"
                named += 1
    assert named > 30


def test_every_document_and_section_that_is_named_exists() -> None:
    """A reference that leads nowhere is found by anyone who needs it most."""
    for source in sources():
        for line, text in source.texts:
            for title, quoted, plain, anchor in SECTION.findall(text):
                manual = (ROOT / (quoted or plain)).read_text()
                headings = re.findall(r"^#+ (.+)$", manual, re.MULTILINE)
                anchors = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
                assert not title or title in headings, f"{source.path}:{line}: {title}"
                assert not anchor or anchor in anchors, f"{source.path}:{line}: {anchor}"


def test_every_setting_that_is_named_exists() -> None:
    """`name = value` in a hint is a line of the configuration or a parameter of PostgreSQL or Oracle."""
    sections = (Settings, Run, Status, Rules, PostgresSystem, OracleSystem)
    known = {name for section in sections for name in section.model_fields}
    servers = {"ssl", "password_encryption"}
    for source in sources():
        for line, text in source.hints:
            for name in re.findall(r"(?<![\w.%])([a-z_]+) = (?=[\w\"'\[{])", text):
                if not re.search(r"\b(?:select|update|delete|alter|insert)\b", text):
                    assert name in known | servers, f"{source.path}:{line}: {name}"


@pytest.mark.parametrize("room", ROOMS)
def test_every_error_says_what_to_do(room: str) -> None:
    """Wherever one is made; what an operator cannot act on is said to pass by itself."""
    of_room = [source for source in sources() if source.path.startswith(room)]
    assert of_room
    assert [f"{source.path}:{line}" for source in of_room for line in source.silent] == []


def test_every_code_says_what_to_do_in_the_manual() -> None:
    """A row of the table of codes has a last column that is not empty."""
    rows = re.findall(r"^\| CDC-\d+ \|(.*)\|$", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    assert rows
    assert [row for row in rows if len([cell for cell in row.split("|") if cell.strip()]) < 3] == []
