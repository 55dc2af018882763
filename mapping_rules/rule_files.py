"""The files of a rule set: texts from one folder and from nowhere else.

The author of a rule set must not be able to make the reading process open another file, wait without end or
fill its memory; and a file that looks like a rule must not be passed over in silence.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cdc.errors import RuleErrors
from mapping_rules.language.errors import ErrorList, Location, nearest
from mapping_rules.language.tree import MAX_BYTES
from mapping_rules.reading.grammar import SYSTEMS_FILE

SHIPPED = Path(__file__).parent
MAX_FILES = 2_000


def shipped_sets() -> tuple[str, ...]:
    """Names of the rule sets that come with ccbridge."""
    return tuple(sorted(path.parent.name for path in SHIPPED.glob(f"*/{SYSTEMS_FILE}")))


def read_files(path: str | Path) -> tuple[str, dict[str, str]]:
    """Name and files (path inside the folder -> text) of a rule set.

    Raises:
        RuleErrors: no such folder or shipped set; a file that is not UTF-8 text, not a regular file, too
            long, or outside the folder by way of a link; a folder that is a link; `.yml` instead of `.yaml`.
    """
    folder = SHIPPED / path if str(path) in shipped_sets() else Path(path)
    if not folder.is_dir():
        near = nearest(str(path), shipped_sets())
        raise RuleErrors(
            [f"{path}: no such folder or shipped rule set{near}"],
            hint="set rules.path in the configuration to a folder or a shipped set",
        )
    files: dict[str, str] = {}
    errors = ErrorList()
    for found in _candidates(folder):
        name = found.relative_to(folder).as_posix()
        if error := _unfit(found, folder):
            errors.add(Location(name), error)
        elif len(files) == MAX_FILES:
            errors.add(Location(str(path)), f"more than {MAX_FILES} files")
            break
        else:
            try:
                files[name] = found.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as exc:
                errors.add(Location(name), f"cannot be read as UTF-8 text: {type(exc).__name__}")
    errors.raise_any()
    return folder.resolve().name, files


def _candidates(folder: Path) -> Iterator[Path]:
    """Rule files in order of name, and folders that are links: nothing below them would be read."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent, name) for name in folders if Path(parent, name).is_symlink())
        yield from (Path(parent, name) for name in sorted(names) if name.lower().endswith((".yaml", ".yml")))


def _unfit(path: Path, folder: Path) -> str | None:
    """Why a file is not read; never what is in it."""
    if path.is_dir():
        return "is a link to a folder; put the files into a folder of the rule set"
    if path.suffix != ".yaml":
        return f"would not be read, name it {path.stem}.yaml"
    try:
        target = path.resolve(strict=True)
        status = target.stat()
    except (OSError, RuntimeError) as exc:  # RuntimeError: links in a circle, before Python 3.13
        return f"cannot be opened: {type(exc).__name__}"
    if not target.is_relative_to(folder.resolve()):
        return "is a link to a file outside the rule set"
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_size > MAX_BYTES:
        return f"is longer than {MAX_BYTES} bytes"
    return None
