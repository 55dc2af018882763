"""Reading an outbound file: one target table from a root entity and its joins."""

from __future__ import annotations

from collections.abc import Mapping

from mapping_rules.language.faults import Faults, Place
from mapping_rules.language.model import Join, OnDelete, Outbound, OutboundColumn, Ref, SystemRules
from mapping_rules.language.transforms import TRANSFORMS
from mapping_rules.language.tree import ListNode, MapNode, Node, ScalarNode
from mapping_rules.reading.conditions import read_where
from mapping_rules.reading.grammar import JOIN, OUTBOUND, OUTBOUND_COLUMN, PICK, SINKS
from mapping_rules.reading.inbound_files import table_name
from mapping_rules.reading.sections import Section, check_known, check_name, names_of, text_of

DEFAULT_DEACTIVATE_COLUMN = "active"


def read_outbound(
    name: str, root: MapNode, systems: Mapping[str, SystemRules], faults: Faults
) -> Outbound | None:
    """One outbound rule; None when system, table or root entity cannot be told."""
    section = Section(root, OUTBOUND, faults, what="an outbound rule")
    system, entity = section.text("to"), section.text("from")
    known = check_known(section.place_of("to"), "system", system, systems, faults)
    table = table_name(section, systems.get(system), faults)
    key = {
        column: _ref(entity, text_of(node, faults) or "", node.place)
        for column, _, node in section.items("key")
    }
    joins = tuple(_join(entity, alias, place, node, faults) for alias, place, node in section.items("join"))
    columns = {column: _column(entity, column, node, faults) for column, _, node in section.items("columns")}
    on_delete = section.choice("on_delete", [choice.value for choice in OnDelete], OnDelete.IGNORE.value)
    if not known or table is None or not entity:
        return None
    return Outbound(
        name=name,
        system=system,
        table=table,
        sink=section.choice("sink", SINKS),
        key=key,
        root=entity,
        joins=joins,
        where=read_where(section, faults, lambda text, place: _ref(entity, text, place)),
        columns=columns,
        require=tuple(_required(text, place) for text, place in section.names("require").items()),
        on_delete=OnDelete(on_delete),
        deactivate_column=_deactivate_column(section, on_delete, faults),
        insert=section.flag("insert", True),
        place=section.place_of("from"),
        table_place=section.place_of("table"),
    )


def _ref(root: str, text: str, place: Place) -> Ref:
    alias, _, column = text.rpartition(".")
    return Ref(alias or root, column, place)


def _required(text: str, place: Place) -> Ref:
    """`alias.column` as written; a target column keeps the empty alias."""
    alias, _, column = text.rpartition(".")
    return Ref(alias, column, place)


def _deactivate_column(section: Section, on_delete: str, faults: Faults) -> str | None:
    if on_delete == OnDelete.DEACTIVATE:
        return section.text("deactivate_column", DEFAULT_DEACTIVATE_COLUMN)
    if "deactivate_column" in section:
        faults.add(section.place_of("deactivate_column"), "deactivate_column is for on_delete: deactivate")
    return None


def _join(root: str, alias: str, place: Place, node: Node, faults: Faults) -> Join:
    check_name(place, alias, faults)
    if not isinstance(node, MapNode):
        faults.add(node.place, f"join {alias}: expected a mapping")
        return Join(alias, "", (), place=place)
    section = Section(node, JOIN, faults, what=f"join {alias}")
    return Join(
        alias=alias,
        entity=section.text("entity"),
        on=_on(root, section, faults),
        where=read_where(section, faults, lambda text, at: _ref(alias, text, at)),
        order=_order(section, faults),
        place=place,
    )


def _on(root: str, section: Section, faults: Faults) -> tuple[tuple[str, Ref], ...]:
    node = section.node.items.get("on")
    if node is None:
        return ()
    if isinstance(node, MapNode):
        return tuple(
            (column, _ref(root, text_of(value, faults) or "", value.place))
            for column, _, value in section.items("on")
        )
    if isinstance(node, ListNode):
        shared = names_of(node, faults, what="on")
    else:
        column = text_of(node, faults)
        shared = {column: node.place} if column else {}
    return tuple((column, Ref(root, column, at)) for column, at in shared.items())


def _order(section: Section, faults: Faults) -> tuple[tuple[str, bool], ...]:
    node = section.node.items.get("pick")
    if node is None:
        return ()
    if not isinstance(node, MapNode):
        faults.add(node.place, "pick: expected a mapping such as {order: [column desc]}")
        return ()
    order = []
    for text, place in Section(node, PICK, faults, what="pick").names("order").items():
        column, _, direction = text.partition(" ")
        if direction not in ("", "asc", "desc"):
            faults.add(place, f"order: expected a column, then perhaps asc or desc, found {text!r}")
        order.append((column, direction == "desc"))
    return tuple(order)


def _column(root: str, name: str, node: Node, faults: Faults) -> OutboundColumn:
    if isinstance(node, ScalarNode):
        text = text_of(node, faults)
        return OutboundColumn(name, ref=_ref(root, text, node.place) if text else None, place=node.place)
    if not isinstance(node, MapNode):
        faults.add(node.place, f"column {name}: expected alias.column or a mapping")
        return OutboundColumn(name, place=node.place)
    section = Section(node, OUTBOUND_COLUMN, faults, what=f"column {name}")
    if ("from" in section) == ("value" in section):
        faults.add(node.place, f"column {name}: expected either from or value")
    for key in ("lookup", "transform", "if_null"):
        if "value" in section and key in section:
            faults.add(section.place_of(key), f"column {name}: {key} does nothing to a constant")
    transforms = section.names("transform")
    for transform, place in transforms.items():
        check_known(place, "transform", transform, TRANSFORMS, faults)
    text = section.text("from")
    return OutboundColumn(
        name=name,
        ref=_ref(root, text, section.place_of("from")) if text else None,
        constant=section.scalar("value"),
        lookup=section.name("lookup") or None,
        transforms=tuple(one for one in transforms if one in TRANSFORMS),
        if_null=section.scalar("if_null"),
        place=node.place,
    )
