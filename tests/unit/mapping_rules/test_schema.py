"""The JSON Schemas that editors use are those of the language."""

from __future__ import annotations

import json

from mapping_rules.reading.grammar import INBOUND
from mapping_rules.reading.schema import FOLDER, schemas


def test_the_stored_schemas_are_those_of_the_grammar() -> None:
    """Run `python -m mapping_rules.reading.schema` after a change of the language."""
    stored = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert stored == schemas()


def test_an_editor_knows_keys_and_transforms() -> None:
    """Keys, required keys and the names of transforms are offered while typing."""
    inbound = json.loads(schemas()["inbound.json"])
    assert set(inbound["properties"]) == set(INBOUND)
    assert inbound["required"] == ["system", "table", "key", "entity", "columns"]
    assert "collapse_spaces" in json.dumps(inbound)
