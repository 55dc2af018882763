"""JSON Schemas of the rule files, for editors that complete and check while typing.

`python -m mapping_rules.reading.schema` writes them to `mapping_rules/schema/`; a test keeps them equal to
`mapping_rules.reading.grammar`.
"""

from __future__ import annotations

import json
from pathlib import Path

from mapping_rules.reading.grammar import FOLDERS, SYSTEM, schema_of

FOLDER = Path(__file__).parents[1] / "schema"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """File name -> text of each schema: one for each folder of a rule set, and systems.yaml."""
    trees = {name: schema_of(grammar) for name, grammar in FOLDERS.items()}
    trees["systems"] = {"type": "object", "additionalProperties": schema_of(SYSTEM)}
    return {
        f"{name}.json": json.dumps({"$schema": DIALECT, "title": f"ccbridge rules: {name}", **tree}, indent=2)
        + "\n"
        for name, tree in trees.items()
    }


def write(folder: Path = FOLDER) -> None:
    """Write every schema, replacing what is there."""
    folder.mkdir(exist_ok=True)
    for name, text in schemas().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
