"""YAML text to a tree of nodes that know their location.

Only plain data is read: no tags, no aliases, one document, no duplicate keys, bounded size and
depth. Untagged scalars follow YAML 1.2 (`no` is text, `true` is a boolean). What the keys mean is
decided in `mapping_rules.reading.sections` and the modules that use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from mapping_rules.language.errors import ErrorList, Location

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20

Scalar = str | bool | int | Decimal | None

_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = {"", "~", "null", "Null", "NULL"}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_DECIMAL = re.compile(r"[-+]?[0-9]*\.[0-9]+|[-+]?[0-9]+\.")
_DATE_LIKE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?")


@dataclass(frozen=True)
class ScalarNode:
    """A single value; `date_like` marks an unquoted date, which other YAML readers retype."""

    location: Location
    value: Scalar
    text: str
    date_like: bool = False


@dataclass(frozen=True)
class ListNode:
    """A sequence of nodes."""

    location: Location
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True)
class MapNode:
    """A mapping from text keys to nodes, in file order."""

    location: Location
    items: dict[str, Node] = field(default_factory=dict)
    key_locations: dict[str, Location] = field(default_factory=dict)


Node = ScalarNode | ListNode | MapNode


class _Unreadable(Exception):
    """The file cannot be read further; carries the location and the reason."""

    def __init__(self, location: Location, text: str) -> None:
        super().__init__(text)
        self.location, self.text = location, text


def parse(file: str, text: str, errors: ErrorList) -> MapNode | None:
    """Read one file; None, with an error noted, when it is not a plain YAML mapping."""
    try:
        if len(text.encode()) > MAX_BYTES:
            raise _Unreadable(Location(file), f"the file is larger than {MAX_BYTES} bytes")
        # the round-trip parser would gather comments for each token, at two fifths of its time
        events = YAML(typ="safe", pure=True).parse(text)
        builder = _Builder(file, events, errors)
        root = builder.document()
    except _Unreadable as exc:
        errors.add(exc.location, exc.text)
        return None
    except MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        location = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        errors.add(location, f"not YAML: {exc.problem or exc.context}")
        return None
    except (YAMLError, ValueError) as exc:
        errors.add(Location(file), f"not YAML: {str(exc).splitlines()[0]}")
        return None
    if not isinstance(root, MapNode):
        errors.add(root.location, "expected a mapping at the top of the file")
        return None
    return root


class _Builder:
    """Builds nodes from the parser's events, one event at a time, to a bounded depth."""

    def __init__(self, file: str, events: Iterator[Any], errors: ErrorList) -> None:
        self._file, self._events, self._errors = file, events, errors
        self._documents = 0

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    raise _Unreadable(self._location(event), "expected one YAML document in the file")
                root = self._node(next(self._events), 1)
            elif isinstance(event, StreamEndEvent):
                break
        if root is None:
            raise _Unreadable(Location(self._file), "the file is empty")
        return root

    def _location(self, event: Any) -> Location:
        mark = event.start_mark
        return Location(self._file, mark.line + 1, mark.column + 1)

    def _node(self, event: Any, depth: int) -> Node:
        location = self._location(event)
        if isinstance(event, AliasEvent):
            raise _Unreadable(location, "aliases are not allowed, write the value out")
        if event.ctag is not None:
            raise _Unreadable(location, f"tag '{event.ctag}' is not allowed, write plain values")
        if depth > MAX_DEPTH:
            raise _Unreadable(location, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, ScalarEvent):
            return _scalar(location, event)
        if isinstance(event, SequenceStartEvent):
            return self._list(location, depth)
        if isinstance(event, MappingStartEvent):
            return self._map(location, depth)
        raise _Unreadable(location, "expected a YAML value")

    def _list(self, location: Location, depth: int) -> ListNode:
        node = ListNode(location)
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            node.items.append(self._node(event, depth + 1))
        return node

    def _map(self, location: Location, depth: int) -> MapNode:
        node = MapNode(location)
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if not isinstance(key, ScalarNode):
                self._errors.add(key.location, "expected a name as key")
            elif key.text in node.items:
                first = node.key_locations[key.text]
                self._errors.add(key.location, f"duplicate key {key.text!r}, first in line {first.line}")
            else:
                node.items[key.text] = value
                node.key_locations[key.text] = key.location
        return node


def _scalar(location: Location, event: Any) -> ScalarNode:
    text = str(event.value)
    if event.style is not None:  # quoted or block text is always text
        return ScalarNode(location, text, text)
    if text in _NULLS:
        return ScalarNode(location, None, text)
    if text in _BOOLEANS:
        return ScalarNode(location, _BOOLEANS[text], text)
    if _INTEGER.fullmatch(text):
        return ScalarNode(location, int(text), text)
    if _DECIMAL.fullmatch(text):
        return ScalarNode(location, Decimal(text), text)
    return ScalarNode(location, text, text, date_like=_DATE_LIKE.fullmatch(text) is not None)
