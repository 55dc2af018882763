"""Walking expressions: parts of a condition, what occurs in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from sandbox.oracle.engine.sql.syntax import (
    ColumnRef,
    Expression,
    Logical,
    Select,
    SetQuery,
)


def conjuncts(node: Expression | None) -> list[Expression]:
    """Cut a condition at its ANDs."""
    if node is None:
        return []
    if isinstance(node, Logical) and node.word == "AND":
        return [part for item in node.items for part in conjuncts(item)]
    return [node]


def walk(node: object, *, subqueries: bool = True) -> Iterator[object]:
    """All nodes of an expression."""
    yield node
    if not subqueries and isinstance(node, Select | SetQuery):
        return
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        for name in node.__slots__:  # type: ignore[attr-defined]
            value = getattr(node, name)
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, tuple):
                    for inner in part:
                        yield from walk(inner, subqueries=subqueries)
                else:
                    yield from walk(part, subqueries=subqueries)


def mentions(node: Expression, wanted: Expression) -> bool:
    """Does a node occur in an expression, outside its subqueries?"""
    return any(each == wanted for each in walk(node, subqueries=False))


def mentions_row_number(node: Expression) -> bool:
    """Does a condition use ROWNUM?"""
    return mentions(node, ColumnRef(("ROWNUM",)))
