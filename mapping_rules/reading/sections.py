"""Reading values out of a YAML mapping, noting every error with its location.

A `Section` wraps one mapping and its grammar: unknown and missing keys are errors at once, values
of the wrong kind when they are asked for. What could not be read comes back as None or empty, so
reading continues and finds the other errors.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from mapping_rules.language.errors import ErrorList, Location
from mapping_rules.language.tree import ListNode, MapNode, Node, Scalar, ScalarNode
from mapping_rules.reading.grammar import Grammar

SNAKE_CASE = re.compile(r"[a-z][a-z0-9_]*")
MAX_NAME = 50  # leaves room for suffixes within PostgreSQL's 63 bytes


class Section:
    """One mapping of a rule file, read by the keys of `grammar`."""

    def __init__(self, node: MapNode, grammar: Grammar, errors: ErrorList, *, what: str) -> None:
        self.node, self.errors, self.location = node, errors, node.location
        for name in node.items:
            if name not in grammar:
                errors.unknown(node.key_locations[name], "key", name, grammar)
        for name, key in grammar.items():
            if key.required and name not in node.items:
                errors.add(node.location, f"{what} needs the key {name!r}: {key.doc}")

    def __contains__(self, key: str) -> bool:
        return key in self.node.items

    def location_of(self, key: str) -> Location:
        """Location of the value under `key`, or of the mapping."""
        node = self.node.items.get(key)
        return node.location if node else self.location

    def text(self, key: str, default: str = "") -> str:
        """Text under `key`; `default` when it is missing or no text."""
        node = self.node.items.get(key)
        return default if node is None else (text_of(node, self.errors) or default)

    def name(self, key: str) -> str:
        """A snake_case name under `key`, or empty."""
        name = self.text(key)
        if name:
            check_name(self.location_of(key), name, self.errors)
        return name

    def flag(self, key: str, default: bool) -> bool:
        """`true` or `false` under `key`."""
        node = self.node.items.get(key)
        if node is None:
            return default
        if isinstance(node, ScalarNode) and isinstance(node.value, bool):
            return node.value
        self.errors.add(node.location, f"{key}: expected true or false")
        return default

    def integer(self, key: str) -> int | None:
        """A whole number under `key`, or None."""
        node = self.node.items.get(key)
        if node is None:
            return None
        if isinstance(node, ScalarNode) and isinstance(node.value, int) and not isinstance(node.value, bool):
            return node.value
        self.errors.add(node.location, f"{key}: expected a whole number")
        return None

    def choice(self, key: str, choices: Collection[str], default: str = "") -> str:
        """One of `choices` under `key`; anything else is a error and reads as `default`."""
        found = self.text(key)
        if found and found not in choices:
            self.errors.unknown(self.location_of(key), key, found, choices)
            return default
        return found or default

    def scalar(self, key: str) -> Scalar:
        """A constant under `key`; None when it is missing."""
        node = self.node.items.get(key)
        if node is None:
            return None
        value = scalar_of(node, self.errors)
        if value is None:
            self.errors.add(node.location, f"{key}: expected a value, found none")
        return value

    def items(self, key: str) -> Iterator[tuple[str, Location, Node]]:
        """Entries of the mapping under `key`: name, location of the name, value."""
        node = self.node.items.get(key)
        if node is None:
            return
        if not isinstance(node, MapNode):
            self.errors.add(node.location, f"{key}: expected a mapping")
            return
        for name, value in node.items.items():
            yield name, node.key_locations[name], value

    def names(self, key: str) -> dict[str, Location]:
        """Distinct texts of the list under `key`, with their locations."""
        node = self.node.items.get(key)
        return {} if node is None else names_of(node, self.errors, what=key)


def names_of(node: Node, errors: ErrorList, *, what: str) -> dict[str, Location]:
    """Distinct texts of a list, with their locations."""
    if not isinstance(node, ListNode):
        errors.add(node.location, f"{what}: expected a list")
        return {}
    names: dict[str, Location] = {}
    for item in node.items:
        text = text_of(item, errors)
        if text in names:
            errors.add(item.location, f"{what}: {text!r} is listed twice")
        elif text:
            names[text] = item.location
    return names


def text_of(node: Node, errors: ErrorList) -> str | None:
    """The text of a node; numbers and the like must be quoted to be text."""
    if not isinstance(node, ScalarNode):
        errors.add(node.location, "expected a text")
        return None
    if not isinstance(node.value, str) or node.date_like or not node.value:
        found = f"found {node.text}, put it in quotes" if node.text else "found nothing"
        errors.add(node.location, f"expected a text, {found}")
        return None
    return node.value


def scalar_of(node: Node, errors: ErrorList) -> Scalar:
    """The value of a node; dates must be quoted because YAML readers retype them."""
    if not isinstance(node, ScalarNode):
        errors.add(node.location, "expected a single value")
        return None
    if node.date_like:
        errors.add(node.location, f"expected a single value, found the date {node.text}, put it in quotes")
        return None
    return node.value


def check_name(location: Location, name: str, errors: ErrorList) -> None:
    """Note a error unless `name` is snake_case and short enough for a database."""
    if not SNAKE_CASE.fullmatch(name):
        errors.add(location, f"{name!r} is not a snake_case name")
    elif len(name) > MAX_NAME:
        errors.add(location, f"{name!r} is longer than {MAX_NAME} characters")


def check_known(
    location: Location,
    what: str,
    name: str | None,
    known: Mapping[str, object] | Collection[str],
    errors: ErrorList,
) -> bool:
    """True if `name` is known; notes a error if it is not. Empty names were noted before."""
    if not name:
        return False
    if name not in known:
        errors.unknown(location, what, name, known)
        return False
    return True
