"""Rooms: each has a face that says what it is for and which of its modules others may import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {"cdc": ROOT, "sinks": ROOT, "mapping_rules": ROOT, "sandbox": ROOT / "standin"}
"""Package and the folder that it lies in."""
FULLEST = 15
"""Modules of a folder, rooms in it not counted; above that no one finds the one that is looked for."""


@cache
def modules() -> dict[str, ast.Module]:
    """Dotted name of every product module, and its text parsed; a package stands under its own name."""
    return {
        dotted(path, top): ast.parse(path.read_text(encoding="utf-8"))
        for folder, top in FOLDERS.items()
        for path in sorted((top / folder).rglob("*.py"))
    }


def dotted(path: Path, top: Path) -> str:
    return ".".join(path.relative_to(top).with_suffix("").parts).removesuffix(".__init__")


@cache
def rooms() -> list[str]:
    """Packages that hold modules of their own."""
    return [
        dotted(path, top)
        for folder, top in FOLDERS.items()
        for path in sorted((top / folder).rglob("__init__.py"))
    ]


@cache
def face(room: str) -> set[str]:
    """The modules that a package names in `__all__`; none where it has classes and functions there."""
    for node in modules()[room].body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = {f"{room}.{name}" for name in ast.literal_eval(node.value)}
            return names if names <= modules().keys() else set()
    return set()


@cache
def imports() -> set[tuple[str, str]]:
    """Module, and a module that it imports."""
    return {(module, name) for module, tree in modules().items() for name in _imported(tree)}


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def from_outside() -> Iterator[tuple[str, str, str]]:
    """Room with a face of modules, a module outside of it, a module of it that this one imports."""
    faces = [room for room in rooms() if face(room)]
    for module, name in sorted(imports()):
        room = name.rpartition(".")[0]
        if (
            room in faces
            and name in modules()
            and name not in rooms()
            and not f"{module}.".startswith(f"{room}.")
        ):
            yield room, module, name


@pytest.mark.parametrize("room", [name for name in rooms() if name.count(".") > 0])
def test_a_room_says_what_it_is_for(room: str) -> None:
    """Anyone who opens a folder reads its purpose first."""
    assert ast.get_docstring(modules()[room])


def test_others_import_what_the_face_of_a_room_names() -> None:
    """A module that the face does not name may change without anybody outside."""
    assert [
        f"{module} imports {name}" for room, module, name in from_outside() if name not in face(room)
    ] == []


def test_a_face_names_what_others_import() -> None:
    """A name that no one outside uses belongs to the inside."""
    used = {(room, name) for room, _, name in from_outside()}
    assert {(room, name) for room in rooms() for name in face(room)} - used == set()


def test_no_folder_is_a_corridor() -> None:
    """A folder that grows beyond this wants rooms."""
    lone = [name.rpartition(".")[0] for name in modules() if name not in rooms()]
    counts = {room: lone.count(room) for room in rooms()}
    assert {room: count for room, count in counts.items() if count > FULLEST} == {}


def test_no_module_sends_its_reader_elsewhere() -> None:
    """The face of a room is its map; a signpost in a module is wrong as soon as something moves."""
    texts = {module: " ".join((ast.get_docstring(tree) or "").split()) for module, tree in modules().items()}
    signpost = re.compile(r"Read (next|before)\b|Used by `(cdc|sinks|mapping_rules|sandbox)\.")
    assert [module for module, text in texts.items() if signpost.search(text)] == []


def circles() -> list[list[str]]:
    """Modules that reach one another by imports, those for types alone and those inside functions too."""
    arrows = {module: set[str]() for module in modules()}
    for module, name in imports():
        if name in arrows and name != module and name not in rooms():
            arrows[module].add(name)
    reached = {module: _reached(module, arrows) for module in arrows}
    found = {
        tuple(sorted(other for other in reached[module] if module in reached[other]))
        for module in arrows
        if module in reached[module]
    }
    return [list(circle) for circle in sorted(found)]


def _reached(module: str, arrows: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        new = arrows[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def test_no_circle_is_wider_than_three_modules() -> None:
    """A few types may know each other; where more do, none can be read or changed alone."""
    assert [circle for circle in circles() if len(circle) > 3] == []


SLICE = re.compile(r"cc&b|\bccb\b|receipt|recharge|payment|\btenders?\b", re.IGNORECASE)
"""Words of one target and its money."""
REGISTERED = re.compile(r'"sinks\.[\w.:]+"|"(ccb_)?payment_upload"')
"""The names under which a sink is registered."""


def test_generic_rooms_know_nothing_of_payments() -> None:
    """The engine and the rule language serve any two systems; what one sink owns is in its package."""
    found = []
    for folder in ("cdc", "mapping_rules"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".py", ".sql", ".json", ".toml") or "ccb_prepaid" in path.parts:
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if SLICE.search(REGISTERED.sub("", line)):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert found == []
