"""`python -m tests.mutants.operators`: alter pure modules, one place at a time; do their tests notice?

    python -m tests.mutants.operators                    every place of every module of PURE
    python -m tests.mutants.operators --sample 20        so many places of each, the same ones each time
    python -m tests.mutants.operators --only scanner     modules whose path holds the text

Where the named guards (`python -m tests.mutants`) ask whether what matters most is watched, this asks how
closely the rest is. An alteration may mean the same as what it replaced, so the score is shown and no
bound is set. Exit code: 0, or 2 if the tests of a module fail as it stands.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.abc
import importlib.util
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 90
_UNIT = "tests/unit/"
PURE = {
    "cdc/bindings.py": ("cdc/test_bindings.py",),
    "cdc/printable.py": ("cdc/test_log.py", "cdc/test_printable.py"),
    "cdc/transport.py": ("cdc/test_config.py",),
    "cdc/flows/truncation.py": ("flows/test_truncation.py",),
    "cdc/readers/logminer/redo_sql/scanner.py": (
        "readers/logminer/test_grammar.py",
        "readers/logminer/test_corpus.py",
    ),
    "cdc/readers/logminer/redo_sql/values.py": (
        "readers/logminer/test_values.py",
        "readers/logminer/test_properties.py",
    ),
    "cdc/readers/logminer/mining/window.py": ("readers/logminer/test_windows.py",),
    "cdc/readers/pgoutput/wire/messages.py": (
        "readers/pgoutput/test_messages.py",
        "readers/pgoutput/test_rows.py",
        "readers/pgoutput/test_transactions.py",
    ),
    "cdc/staging/batches/replay_filter.py": ("staging/test_incoming.py",),
    "mapping_rules/language/expression_tokens.py": ("mapping_rules/test_expression_tokens.py",),
    "mapping_rules/rule_files.py": ("mapping_rules/test_rule_files.py",),
    "sinks/upsert/isolation.py": ("sinks/test_isolation.py",),
}
"""Module to its unit tests."""
_LOADED = ["oracledb", "polars", "psycopg", "pydantic", "pytest", "ruamel.yaml"]
"""Imported once for all; no plugin of pytest, which has to find those itself."""
_OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Break: ast.Continue,
    ast.Continue: ast.Break,
}


@dataclass(frozen=True)
class Place:
    """The n-th place of a module that can be altered."""

    path: str
    number: int
    line: int
    text: str


class _Alter(ast.NodeTransformer):
    """Notes every place; alters the one that is asked for."""

    def __init__(self, expected: int = -1) -> None:
        self.expected = expected
        self.seen: list[tuple[int, str]] = []

    def _turn(self, node: ast.AST, text: str) -> bool:
        self.seen.append((getattr(node, "lineno", 0), text))
        return len(self.seen) - 1 == self.expected

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node  # an annotation says nothing at run time

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        if node.arg in ("frozen", "slots", "kw_only"):
            return node  # of a dataclass: nothing at run time depends on it
        self.generic_visit(node)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        for index, operator in enumerate(node.ops):
            if self._turn(node, ast.unparse(node)):
                node.ops[index] = _other(operator)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        if self._turn(node, ast.unparse(node)):
            node.op = _other(node.op)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if type(node.op) in _OTHER and self._turn(node, ast.unparse(node)):
            node.op = _other(node.op)
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and self._turn(node, ast.unparse(node)):
            return node.operand
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if self._turn(node, f"if {ast.unparse(node.test)}"):
            node.test = ast.UnaryOp(ast.Not(), node.test)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, bool) and self._turn(node, repr(node.value)):
            return ast.copy_location(ast.Constant(not node.value), node)
        if type(node.value) is int and self._turn(node, repr(node.value)):
            return ast.copy_location(ast.Constant(node.value + 1), node)
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None):
            return node
        if self._turn(node, ast.unparse(node)):
            return ast.copy_location(ast.Return(ast.Constant(None)), node)
        return node

    def visit_Break(self, node: ast.Break) -> ast.AST:
        return ast.copy_location(ast.Continue(), node) if self._turn(node, "break") else node

    def visit_Continue(self, node: ast.Continue) -> ast.AST:
        return ast.copy_location(ast.Break(), node) if self._turn(node, "continue") else node


def _other(operator: ast.AST) -> Any:
    return _OTHER[type(operator)]()


class _Altered(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module as altered; the tree stays as it is."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.name = place.path.removesuffix(".py").replace("/", ".")

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, ROOT / self.place.path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        tree = _Alter(self.place.number).visit(ast.parse((ROOT / self.place.path).read_text()))
        code = compile(ast.fix_missing_locations(tree), self.place.path, "exec")
        exec(code, module.__dict__)  # noqa: S102 - our own module


def places(path: str) -> list[Place]:
    """Every place of a module that can be altered."""
    alter = _Alter()
    alter.visit(ast.parse((ROOT / path).read_text()))
    return [Place(path, number, line, text[:90]) for number, (line, text) in enumerate(alter.seen)]


def _test(place: Place | None, tests: Sequence[str]) -> None:
    """In a process of its own: run the tests; its exit code is pytest's."""
    import pytest

    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    if place is not None:
        sys.meta_path.insert(0, _Altered(place))
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *(_UNIT + test for test in tests)])
    os._exit(int(code))


def noticed(place: Place | None, tests: Sequence[str]) -> bool:
    """Whether the tests fail, or do not come to an end."""
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=_test, args=(place, tests))
    process.start()
    process.join(TIMEOUT_S)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode != 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", type=int, default=0, help="places of each module; 0: all")
    parser.add_argument("--only", default="", help="modules whose path holds the text")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    multiprocessing.get_context("forkserver").set_forkserver_preload(_LOADED)
    with tempfile.TemporaryDirectory(prefix="ccbridge-hypothesis-") as folder:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
        totals = [_module(path, options.sample, options.jobs) for path in PURE if options.only in path]
    if None in totals:
        return 2
    found = [one for one in totals if one is not None]
    print(f"{sum(n for n, _ in found)} of {sum(of for _, of in found)} alterations noticed")
    return 0


def _module(path: str, sample: int, jobs: int) -> tuple[int, int] | None:
    """Alter one module; returns how many alterations were noticed, of how many."""
    began, tests = time.monotonic(), PURE[path]
    if noticed(None, tests):
        print(f"{path}: its tests fail as it stands")
        return None
    chosen = list(_chosen(places(path), sample))
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(partial(noticed, tests=tests), chosen))
    missed = [place for place, was_noticed in zip(chosen, outcomes, strict=True) if not was_noticed]
    print(
        f"{path}: {len(chosen) - len(missed)} of {len(chosen)} in {time.monotonic() - began:.0f} s",
        flush=True,
    )
    for place in missed:
        print(f"    {place.path}:{place.line}: {place.text}", flush=True)
    return len(chosen) - len(missed), len(chosen)


def _chosen(found: Sequence[Place], sample: int) -> Iterator[Place]:
    if not sample or sample >= len(found):
        yield from found
    else:
        yield from random.Random(found[0].path).sample(found, sample)  # noqa: S311 - the same each time


if __name__ == "__main__":
    sys.exit(main())
