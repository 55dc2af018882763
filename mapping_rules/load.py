"""Loading a rule set: a folder of YAML files to checked data, or every error at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from mapping_rules.checks.inbound_checks import check_entities, check_inbound
from mapping_rules.checks.outbound_checks import check_outbound
from mapping_rules.language.errors import ErrorList, Location, nearest
from mapping_rules.language.model import Entity, Inbound, Lookup, Outbound, RuleSet, SystemRules
from mapping_rules.language.tree import MapNode, parse
from mapping_rules.reading.entity_files import read_entity, read_lookup, read_systems
from mapping_rules.reading.grammar import FOLDERS, SYSTEMS_FILE
from mapping_rules.reading.inbound_files import read_inbound
from mapping_rules.reading.outbound_files import read_outbound
from mapping_rules.rule_files import read_files

_Named = TypeVar("_Named", Entity, Lookup)
_Rule = TypeVar("_Rule", Inbound, Outbound)


def load(path: str | Path, *, schemas: Mapping[str, str] | None = None) -> RuleSet:
    """Read and check a rule set.

    Args:
        path: a folder, or the name of a shipped set such as `ccb_prepaid`.
        schemas: system -> schema of its tables, instead of the one in `systems.yaml` (sites name
            their schemas differently).

    Raises:
        RuleErrors: with every error found, each as `file:line:column: text`.
    """
    return from_files(*read_files(path), schemas=schemas)


def from_files(name: str, files: Mapping[str, str], *, schemas: Mapping[str, str] | None = None) -> RuleSet:
    """The rule set made of these files, for example those that staging keeps by digest.

    Raises:
        RuleErrors: with every error found.
    """
    errors = ErrorList()
    trees: dict[str, dict[str, MapNode]] = {folder: {} for folder in FOLDERS}
    systems: dict[str, SystemRules] = {}
    for file, text in sorted(files.items()):
        folder, _, stem = file.removesuffix(".yaml").rpartition("/")
        if file != SYSTEMS_FILE and folder not in FOLDERS:
            known = [SYSTEMS_FILE, *(f"{one}/{stem}.yaml" for one in FOLDERS)]
            errors.add(Location(file), f"unknown place for a rule file{nearest(file, known)}")
            continue
        root = parse(file, text, errors)
        if root is None:
            continue
        if file == SYSTEMS_FILE:
            systems = _with_schemas(read_systems(root, errors), schemas or {})
        else:
            trees[folder][stem] = root
    if SYSTEMS_FILE not in files:
        errors.add(Location(SYSTEMS_FILE), "missing: it names the systems and how their vendors write values")
    entities = _by_name(trees["entities"], read_entity, "entity", errors)
    lookups = _by_name(trees["lookups"], read_lookup, "lookup", errors)
    inbound = _rules(trees["inbound"], read_inbound, systems, errors)
    outbound = _rules(trees["outbound"], read_outbound, systems, errors)
    check_entities(entities, lookups, errors)
    check_inbound(inbound, entities, lookups, errors)
    check_outbound(outbound, systems, entities, lookups, errors)
    errors.raise_any()
    return RuleSet(name, digest(files), dict(files), systems, entities, lookups, inbound, outbound)


def digest(files: Mapping[str, str]) -> str:
    """SHA-256 over names and texts, in order of name, each with its length in front."""
    sha = hashlib.sha256()
    for name, text in sorted(files.items()):
        for part in (name.encode(), text.encode()):
            sha.update(len(part).to_bytes(8, "big") + part)
    return sha.hexdigest()


def _with_schemas(systems: dict[str, SystemRules], schemas: Mapping[str, str]) -> dict[str, SystemRules]:
    return {
        name: SystemRules(name, system.conventions, schemas.get(name, system.schema), system.location)
        for name, system in systems.items()
    }


def _by_name(
    trees: Mapping[str, MapNode],
    read: Callable[[MapNode, ErrorList], _Named | None],
    what: str,
    errors: ErrorList,
) -> dict[str, _Named]:
    found: dict[str, _Named] = {}
    for root in trees.values():
        one = read(root, errors)
        if one is None:
            continue
        if one.name in found:
            errors.add(one.location, f"{what} {one.name} is defined in {found[one.name].location.file} too")
        else:
            found[one.name] = one
    return found


def _rules(
    trees: Mapping[str, MapNode],
    read: Callable[[str, MapNode, Mapping[str, SystemRules], ErrorList], _Rule | None],
    systems: Mapping[str, SystemRules],
    errors: ErrorList,
) -> tuple[_Rule, ...]:
    rules = (read(stem, root, systems, errors) for stem, root in trees.items())
    return tuple(rule for rule in rules if rule is not None)
