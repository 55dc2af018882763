"""Reading `where`: which rows belong to an entity, a join or a target table.

`where: {STATUS: ["20", "30"], STOP_DTTM: null, KIND: {not: "X"}}`: all must hold. A list means any
of its values, null means that there is no value.
"""

from __future__ import annotations

from collections.abc import Callable

from mapping_rules.language.errors import ErrorList, Location
from mapping_rules.language.model import Condition, Ref
from mapping_rules.language.tree import ListNode, MapNode, Node, Scalar
from mapping_rules.reading.grammar import NOT
from mapping_rules.reading.sections import Section, scalar_of

ReadRef = Callable[[str, Location], Ref]


def read_where(section: Section, errors: ErrorList, ref: ReadRef) -> tuple[Condition, ...]:
    """The conditions under `where`, in file order."""
    return tuple(
        _condition(ref(name, location), node, errors) for name, location, node in section.items("where")
    )


def _condition(column: Ref, node: Node, errors: ErrorList) -> Condition:
    if isinstance(node, MapNode):
        section = Section(node, NOT, errors, what="a condition")
        inner = section.node.items.get("not")
        return Condition(column, _values(inner, errors) if inner else (), negated=True)
    return Condition(column, _values(node, errors))


def _values(node: Node, errors: ErrorList) -> tuple[Scalar, ...]:
    if isinstance(node, ListNode):
        if not node.items:
            errors.add(node.location, "expected at least one value")
        return tuple(scalar_of(item, errors) for item in node.items)
    return (scalar_of(node, errors),)
