"""The manual of the settings: every key, as it is."""

from __future__ import annotations

import re
from pathlib import Path

from cdc.config import reference

ROOT = Path(__file__).parents[3]


def test_the_manual_is_that_of_these_settings() -> None:
    """Written by `python -m cdc.config.reference > docs/configuration.md`."""
    assert (ROOT / "docs/configuration.md").read_text(encoding="utf-8") == reference.render()


def test_every_key_says_what_it_is_for() -> None:
    """A key without a word about it is found by reading code only."""
    for header, section, _ in reference.SECTIONS:
        for name, field in section.model_fields.items():
            assert field.description, f"{header}.{name}"


def test_every_key_is_looked_at() -> None:
    """A key that nothing reads would be an option that does nothing."""
    texts = "".join(path.read_text(encoding="utf-8") for path in _product())
    for header, section, _ in reference.SECTIONS:
        for name in section.model_fields:
            assert re.search(rf"\.{name}\b", texts), f"{header}.{name}"


def _product() -> list[Path]:
    return [
        path
        for folder in ("cdc", "sinks")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "reference.py"
    ]
