"""YAML text to a tree of nodes that know their place.

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

from mapping_rules.language.faults import Faults, Place

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

    place: Place
    value: Scalar
    text: str
    date_like: bool = False


@dataclass(frozen=True)
class ListNode:
    """A sequence of nodes."""

    place: Place
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True)
class MapNode:
    """A mapping from text keys to nodes, in file order."""

    place: Place
    items: dict[str, Node] = field(default_factory=dict)
    key_places: dict[str, Place] = field(default_factory=dict)


Node = ScalarNode | ListNode | MapNode


class _Unreadable(Exception):
    """The file cannot be read further; carries the place and the reason."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.place, self.text = place, text


def parse(file: str, text: str, faults: Faults) -> MapNode | None:
    """Read one file; None, with a fault noted, when it is no plain YAML mapping."""
    try:
        if len(text.encode()) > MAX_BYTES:
            raise _Unreadable(Place(file), f"the file is larger than {MAX_BYTES} bytes")
        # the round-trip parser would gather comments for each token, at two fifths of its time
        events = YAML(typ="safe", pure=True).parse(text)
        builder = _Builder(file, events, faults)
        root = builder.document()
    except _Unreadable as exc:
        faults.add(exc.place, exc.text)
        return None
    except MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        faults.add(place, f"no YAML: {exc.problem or exc.context}")
        return None
    except (YAMLError, ValueError) as exc:
        faults.add(Place(file), f"no YAML: {str(exc).splitlines()[0]}")
        return None
    if not isinstance(root, MapNode):
        faults.add(root.place, "expected a mapping at the top of the file")
        return None
    return root


class _Builder:
    """Builds nodes from the parser's events, one event at a time, to a bounded depth."""

    def __init__(self, file: str, events: Iterator[Any], faults: Faults) -> None:
        self._file, self._events, self._faults = file, events, faults
        self._documents = 0

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    raise _Unreadable(self._place(event), "expected one YAML document in the file")
                root = self._node(next(self._events), 1)
            elif isinstance(event, StreamEndEvent):
                break
        if root is None:
            raise _Unreadable(Place(self._file), "the file is empty")
        return root

    def _place(self, event: Any) -> Place:
        mark = event.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1)

    def _node(self, event: Any, depth: int) -> Node:
        place = self._place(event)
        if isinstance(event, AliasEvent):
            raise _Unreadable(place, "aliases are not allowed, write the value out")
        if event.ctag is not None:
            raise _Unreadable(place, f"tag '{event.ctag}' is not allowed, write plain values")
        if depth > MAX_DEPTH:
            raise _Unreadable(place, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, ScalarEvent):
            return _scalar(place, event)
        if isinstance(event, SequenceStartEvent):
            return self._list(place, depth)
        if isinstance(event, MappingStartEvent):
            return self._map(place, depth)
        raise _Unreadable(place, "no YAML value found here")

    def _list(self, place: Place, depth: int) -> ListNode:
        node = ListNode(place)
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            node.items.append(self._node(event, depth + 1))
        return node

    def _map(self, place: Place, depth: int) -> MapNode:
        node = MapNode(place)
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if not isinstance(key, ScalarNode):
                self._faults.add(key.place, "expected a name as key")
            elif key.text in node.items:
                first = node.key_places[key.text]
                self._faults.add(key.place, f"duplicate key {key.text!r}, first in line {first.line}")
            else:
                node.items[key.text] = value
                node.key_places[key.text] = key.place
        return node


def _scalar(place: Place, event: Any) -> ScalarNode:
    text = str(event.value)
    if event.style is not None:  # quoted or block text is always text
        return ScalarNode(place, text, text)
    if text in _NULLS:
        return ScalarNode(place, None, text)
    if text in _BOOLEANS:
        return ScalarNode(place, _BOOLEANS[text], text)
    if _INTEGER.fullmatch(text):
        return ScalarNode(place, int(text), text)
    if _DECIMAL.fullmatch(text):
        return ScalarNode(place, Decimal(text), text)
    return ScalarNode(place, text, text, date_like=_DATE_LIKE.fullmatch(text) is not None)
