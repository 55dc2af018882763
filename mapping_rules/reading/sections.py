"""Reading values out of a YAML mapping, noting every fault with its place.

A `Section` wraps one mapping and its grammar: unknown and missing keys are faults at once, values
of the wrong kind when they are asked for. What could not be read comes back as None or empty, so
reading goes on and finds the other faults.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from mapping_rules.language.faults import Faults, Place
from mapping_rules.language.tree import ListNode, MapNode, Node, Scalar, ScalarNode
from mapping_rules.reading.grammar import Grammar

SNAKE_CASE = re.compile(r"[a-z][a-z0-9_]*")
MAX_NAME = 50  # leaves room for suffixes within PostgreSQL's 63 bytes


class Section:
    """One mapping of a rule file, read by the keys of `grammar`."""

    def __init__(self, node: MapNode, grammar: Grammar, faults: Faults, *, what: str) -> None:
        self.node, self.faults, self.place = node, faults, node.place
        for name in node.items:
            if name not in grammar:
                faults.unknown(node.key_places[name], "key", name, grammar)
        for name, key in grammar.items():
            if key.required and name not in node.items:
                faults.add(node.place, f"{what} needs the key {name!r}: {key.doc}")

    def __contains__(self, key: str) -> bool:
        return key in self.node.items

    def place_of(self, key: str) -> Place:
        """Place of the value under `key`, or of the mapping."""
        node = self.node.items.get(key)
        return node.place if node else self.place

    def text(self, key: str, default: str = "") -> str:
        """Text under `key`; `default` when it is missing or no text."""
        node = self.node.items.get(key)
        return default if node is None else (text_of(node, self.faults) or default)

    def name(self, key: str) -> str:
        """A snake_case name under `key`, or empty."""
        name = self.text(key)
        if name:
            check_name(self.place_of(key), name, self.faults)
        return name

    def flag(self, key: str, default: bool) -> bool:
        """`true` or `false` under `key`."""
        node = self.node.items.get(key)
        if node is None:
            return default
        if isinstance(node, ScalarNode) and isinstance(node.value, bool):
            return node.value
        self.faults.add(node.place, f"{key}: expected true or false")
        return default

    def integer(self, key: str) -> int | None:
        """A whole number under `key`, or None."""
        node = self.node.items.get(key)
        if node is None:
            return None
        if isinstance(node, ScalarNode) and isinstance(node.value, int) and not isinstance(node.value, bool):
            return node.value
        self.faults.add(node.place, f"{key}: expected a whole number")
        return None

    def choice(self, key: str, choices: Collection[str], default: str = "") -> str:
        """One of `choices` under `key`; anything else is a fault and reads as `default`."""
        found = self.text(key)
        if found and found not in choices:
            self.faults.unknown(self.place_of(key), key, found, choices)
            return default
        return found or default

    def scalar(self, key: str) -> Scalar:
        """A constant under `key`; None when it is missing."""
        node = self.node.items.get(key)
        if node is None:
            return None
        value = scalar_of(node, self.faults)
        if value is None:
            self.faults.add(node.place, f"{key}: expected a value, found none")
        return value

    def items(self, key: str) -> Iterator[tuple[str, Place, Node]]:
        """Entries of the mapping under `key`: name, place of the name, value."""
        node = self.node.items.get(key)
        if node is None:
            return
        if not isinstance(node, MapNode):
            self.faults.add(node.place, f"{key}: expected a mapping")
            return
        for name, value in node.items.items():
            yield name, node.key_places[name], value

    def names(self, key: str) -> dict[str, Place]:
        """Distinct texts of the list under `key`, with their places."""
        node = self.node.items.get(key)
        return {} if node is None else names_of(node, self.faults, what=key)


def names_of(node: Node, faults: Faults, *, what: str) -> dict[str, Place]:
    """Distinct texts of a list, with their places."""
    if not isinstance(node, ListNode):
        faults.add(node.place, f"{what}: expected a list")
        return {}
    names: dict[str, Place] = {}
    for item in node.items:
        text = text_of(item, faults)
        if text in names:
            faults.add(item.place, f"{what}: {text!r} is listed twice")
        elif text:
            names[text] = item.place
    return names


def text_of(node: Node, faults: Faults) -> str | None:
    """The text of a node; numbers and the like must be quoted to be text."""
    if not isinstance(node, ScalarNode):
        faults.add(node.place, "expected a text")
        return None
    if not isinstance(node.value, str) or node.date_like or not node.value:
        found = f"found {node.text}, put it in quotes" if node.text else "found nothing"
        faults.add(node.place, f"expected a text, {found}")
        return None
    return node.value


def scalar_of(node: Node, faults: Faults) -> Scalar:
    """The value of a node; dates must be quoted because YAML readers retype them."""
    if not isinstance(node, ScalarNode):
        faults.add(node.place, "expected a single value")
        return None
    if node.date_like:
        faults.add(node.place, f"expected a single value, found the date {node.text}, put it in quotes")
        return None
    return node.value


def check_name(place: Place, name: str, faults: Faults) -> None:
    """Note a fault unless `name` is snake_case and short enough for a database."""
    if not SNAKE_CASE.fullmatch(name):
        faults.add(place, f"{name!r} is no snake_case name")
    elif len(name) > MAX_NAME:
        faults.add(place, f"{name!r} is longer than {MAX_NAME} characters")


def check_known(
    place: Place, what: str, name: str | None, known: Mapping[str, object] | Collection[str], faults: Faults
) -> bool:
    """True if `name` is known; notes a fault if it is not. Empty names were noted before."""
    if not name:
        return False
    if name not in known:
        faults.unknown(place, what, name, known)
        return False
    return True
