"""Reading a rule set's folder: nothing but the files in it, and none of them passed over in silence."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cdc.errors import RuleErrors
from mapping_rules import load
from mapping_rules.language.tree import MAX_BYTES
from mapping_rules.rule_files import SHIPPED, read_files

CANARY = "canary-4711"
TEXT = "lookup: x\nvalues: {a: b}\n"


def outside(folder: Path) -> Path:
    """A file that the rule set has no business with."""
    path = folder.parent / "ccb.password"
    path.write_text(f"{CANARY}: [\n")
    return path


def linked_folder(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    shutil.rmtree(folder / "lookups")
    (folder / "lookups").symlink_to(folder.parent / "elsewhere")


def linked_out(folder: Path) -> None:
    outside(folder)
    (folder / "lookups/x.yaml").symlink_to("../../ccb.password")


def linked_file(to: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "lookups/x.yaml").symlink_to(to)


def written(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "lookups" / name).write_bytes(content)


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "link out": (linked_out, "lookups/x.yaml:1:1: is a link to a file outside the rule set"),
    "link to a device": (linked_file("/dev/zero"), "x.yaml:1:1: is a link to a file outside"),
    "link to nothing": (linked_file("gone"), "x.yaml:1:1: cannot be opened: FileNotFound"),
    "links in a circle": (linked_file("x.yaml"), "x.yaml:1:1: cannot be opened"),
    "linked folder": (linked_folder, "lookups:1:1: is a link to a folder"),
    "named pipe": (lambda folder: os.mkfifo(folder / "lookups/x.yaml"), "x.yaml:1:1: is not a regular file"),
    "too long": (written("x.yaml", b"#" * (MAX_BYTES + 1)), f"x.yaml:1:1: is longer than {MAX_BYTES} bytes"),
    "other ending": (written("x.yml", TEXT.encode()), "x.yml:1:1: would not be read, name it x.yaml"),
    "capitals": (written("X.YAML", TEXT.encode()), "X.YAML:1:1: would not be read, name it X.yaml"),
    "no text": (written("x.yaml", b"\xff\xfe"), "x.yaml:1:1: cannot be read as UTF-8 text"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_is_not_a_file_of_the_rule_set_is_named_and_not_read(case: str, tmp_path: Path) -> None:
    """Neither a foreign file's text in an error, nor an endless wait, nor a rule that is silently missing."""
    make, error = UNFIT[case]
    folder = tmp_path / "rules"
    shutil.copytree(SHIPPED / "ccb_prepaid", folder)
    make(folder)
    with pytest.raises(RuleErrors) as raised:
        load(folder)
    assert any(error in line for line in raised.value.errors), raised.value.errors
    assert CANARY not in str(raised.value)


def test_links_inside_the_folder_are_followed(tmp_path: Path) -> None:
    """Tools that publish configuration switch a link from one version to the next."""
    (tmp_path / "lookups").mkdir()
    (tmp_path / "lookups/v2.text").write_text(TEXT)
    (tmp_path / "lookups/x.yaml").symlink_to("v2.text")
    assert read_files(tmp_path) == (tmp_path.name, {"lookups/x.yaml": TEXT})


def test_a_name_cannot_forge_a_second_error(tmp_path: Path) -> None:
    """Names of files come from the author of the rules."""
    shutil.copytree(SHIPPED / "ccb_prepaid", tmp_path / "rules")
    forged = tmp_path / "rules/inbound/a\x1b[31m\ninbound\u202e/ci_per.yaml:1:1: forged.yaml"
    forged.parent.mkdir(parents=True)
    forged.write_text("a: b\n")
    with pytest.raises(RuleErrors) as raised:
        load(tmp_path / "rules")
    (error,) = raised.value.errors
    assert error.isprintable()
