"""The manual of capture from Oracle says what can be set."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from pydantic_core import PydanticUndefined

from cdc.config import OracleSystem

ROOT = Path(__file__).parents[4]
ROW = re.compile(r"^\| `([a-z_]+)` \| (\S+) \|", re.MULTILINE)


def test_every_setting_is_in_the_manual_with_its_default() -> None:
    """A DBA finds each key, and the default that the manual names is the one in force."""
    settings = (ROOT / "docs/oracle.md").read_text().partition("\n## Settings\n")[2]
    written = dict(ROW.findall(settings.partition("\n## ")[0]))
    real = {}
    for name, field in OracleSystem.model_fields.items():
        if field.default is PydanticUndefined:
            real[name] = "required"
        elif field.default is None:
            real[name] = "none"
        else:
            real[name] = f"`{json.dumps(field.default)}`"
    assert written == real


def test_commented_settings_of_the_example_are_valid() -> None:
    """Taking the comment sign away leaves a configuration that is accepted."""
    text = (ROOT / "mapping_rules/ccb_prepaid/ccbridge.toml").read_text()
    section = text.partition("[systems.ccb]")[2].partition("\n[")[0]
    uncommented = "\n".join(re.sub(r"^# (?=\w+ = )", "", line) for line in section.splitlines()[1:])
    OracleSystem.model_validate(tomllib.loads(uncommented))
