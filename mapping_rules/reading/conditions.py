"""Reading `where`: which rows belong to an entity, a join or a target table.

`where: {STATUS: ["20", "30"], STOP_DTTM: null, KIND: {not: "X"}}`: all must hold. A list means any
of its values, null means that there is no value.
"""

from __future__ import annotations

from collections.abc import Callable

from mapping_rules.language.faults import Faults, Place
from mapping_rules.language.model import Condition, Ref
from mapping_rules.language.tree import ListNode, MapNode, Node, Scalar
from mapping_rules.reading.grammar import NOT
from mapping_rules.reading.sections import Section, scalar_of

ReadRef = Callable[[str, Place], Ref]


def read_where(section: Section, faults: Faults, ref: ReadRef) -> tuple[Condition, ...]:
    """The conditions under `where`, in file order."""
    return tuple(_condition(ref(name, place), node, faults) for name, place, node in section.items("where"))


def _condition(column: Ref, node: Node, faults: Faults) -> Condition:
    if isinstance(node, MapNode):
        section = Section(node, NOT, faults, what="a condition")
        inner = section.node.items.get("not")
        return Condition(column, _values(inner, faults) if inner else (), negated=True)
    return Condition(column, _values(node, faults))


def _values(node: Node, faults: Faults) -> tuple[Scalar, ...]:
    if isinstance(node, ListNode):
        if not node.items:
            faults.add(node.place, "expected at least one value")
        return tuple(scalar_of(item, faults) for item in node.items)
    return (scalar_of(node, faults),)
