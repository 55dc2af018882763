"""The language reference lists what the language has."""

from __future__ import annotations

import re
from pathlib import Path

from cdc.staging.batches.refused_rows import REASON_CODE
from mapping_rules.language.reasons import Reason
from mapping_rules.language.transforms import TRANSFORMS
from sinks.ccb_payment_upload.rules import UPLOAD_STAGING_TABLES

ROOT = Path(__file__).parents[3]
MANUAL = (ROOT / "docs/rules.md").read_text(encoding="utf-8")


def _table(heading: str) -> dict[str, str]:
    """First and second cell of the rows of the table below a heading."""
    section = MANUAL.split(f"{heading}\n", 1)[1].split("\n#", 1)[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|$", section, re.MULTILINE))


def test_the_transforms_are_those_of_the_language() -> None:
    """Name and meaning, none missing, none made up."""
    assert _table("## Transforms") == {name: one.doc for name, one in TRANSFORMS.items()}


def test_every_reason_code_is_explained() -> None:
    """The code of each rejection is explained."""
    explained = list(_table("### Rows that are rejected"))
    explained.remove(REASON_CODE)  # staging's own
    assert explained == [reason.value for reason in Reason]


def test_the_guard_names_the_tables_that_may_be_written() -> None:
    """The documented exceptions are the enforced ones."""
    guard = MANUAL.split("**Guard.**", 1)[1].split("\n\n", 1)[0]
    assert set(re.findall(r"`(\w+)`", guard)) >= UPLOAD_STAGING_TABLES
