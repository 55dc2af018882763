"""No call of the Oracle driver lies outside of the edge that turns its errors into ours."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
EDGE = "oracle_errors"
CALLS = frozenset(
    (
        "cursor",
        "execute",
        "executemany",
        "fetchone",
        "fetchmany",
        "fetchall",
        "commit",
        "rollback",
        "parse",
        "callproc",
        "callfunc",
        "ping",
        "setinputsizes",
        "begin",
        "tpc_begin",
        "tpc_commit",
    )
)
"""Methods of the driver that talk to the server or look at what it sent."""


@dataclass
class Function:
    """A function of the product: driver calls outside of the edge, calls of others there and inside of it.

    A call of another function goes with whether it is handed a cursor.
    """

    where: str
    name: str
    driver: list[int] = field(default_factory=list)
    calls: set[tuple[str, bool]] = field(default_factory=set)
    guarded: set[str] = field(default_factory=set)


PROBE = "probing"
"""The probe of a first day judges the driver's own errors, in a command of its own."""


def oracle_modules() -> Iterator[Path]:
    """Modules that use the driver, or connections of ours to Oracle."""
    for room in ("cdc", "sinks"):
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if PROBE in path.parts:
                continue
            if "import oracledb" in text or "cdc.oracle.connect" in text or EDGE in text:
                yield path


class Reading(ast.NodeVisitor):
    """Functions of one module, with what is called outside of the edge."""

    def __init__(self, path: Path) -> None:
        self.path, self.functions = path, list[Function]()
        self._inside = 0
        self._open: list[Function] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        inside, self._inside = self._inside, 0
        self._open.append(Function(f"{self.path.relative_to(ROOT)}:{node.lineno}", node.name))
        self.generic_visit(node)
        self.functions.append(self._open.pop())
        self._inside = inside

    def visit_With(self, node: ast.With) -> None:
        guards = sum(EDGE in ast.unparse(item.context_expr) for item in node.items)
        for item in node.items:
            # what is opened behind the edge in the same statement is inside of it
            self._inside += EDGE in ast.unparse(item.context_expr)
            self.visit(item.context_expr)
        for statement in node.body:
            self.visit(statement)
        self._inside -= guards

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if self._open and not self._inside:
            if isinstance(node.func, ast.Attribute) and name in CALLS:
                self._open[-1].driver.append(node.lineno)
            self._open[-1].calls.add((name, any("cursor" in ast.unparse(one) for one in node.args)))
        elif self._open:
            self._open[-1].guarded.add(name)
        self.generic_visit(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Anyone who calls it with a cursor is inside of the edge."""
        is_given = any(one.arg == "cursor" for one in node.args.args)
        self._inside += is_given
        self.generic_visit(node)
        self._inside -= is_given

    def visit_For(self, node: ast.For) -> None:
        """Going through a cursor fetches."""
        if self._open and not self._inside and "cursor" in ast.unparse(node.iter).split("(")[0]:
            self._open[-1].driver.append(node.lineno)
        self.generic_visit(node)


def test_every_driver_call_lies_inside_the_edge() -> None:
    """A function that calls the driver freely is handed a cursor, or called inside of the edge only."""
    functions = []
    for path in oracle_modules():
        reading = Reading(path)
        reading.visit(ast.parse(path.read_text(encoding="utf-8")))
        functions += reading.functions
    assert len(functions) > 100
    bare = {function.name: function for function in functions if function.driver}
    assert bare
    known: set[tuple[str, bool]] = set()
    while known != (known := {(name, is_given_cursor(one)) for name, one in bare.items()}):
        # callers outside of the edge are as bare as what they call
        bare |= {function.name: function for function in functions if function.calls & known}
    guarded = {name for function in functions for name in function.guarded}
    outside = [
        (one.where, name) for name, one in bare.items() if name not in guarded and not is_given_cursor(one)
    ]
    assert outside == []


def is_given_cursor(function: Function) -> bool:
    """Whether someone hands it a cursor that he uses inside of the edge."""
    path, _, line = function.where.partition(":")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    node = next(one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) and one.lineno == int(line))
    given = [ast.unparse(one.annotation) for one in node.args.args if one.annotation is not None]
    return any("Cursor" in one for one in given)
