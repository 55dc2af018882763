"""What the glossary lists as not used stands in no text and no name.

The patterns are read from the document: a word is banned by writing it there. Docstrings, messages, comments,
names, rules and documents are read as text, so nothing that is written is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
READ = {".py", ".md", ".sql", ".toml", ".yaml"}
TOPS = (
    "cdc",
    "sinks",
    "mapping_rules",
    "migrations",
    "standin",
    "tests",
    "benchmarks",
    "docs",
    "deploy",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
)
KEPT = {
    "migrations/versions": "released migrations are not edited",
    "cdc/staging/schema/tables.py": "its comments are those that released migrations made",
    "docs/decisions": "decisions stand as they were made",
    "CHANGELOG.md": "so do the notes of a release",
    "docs/glossary.md": "the list itself",
    "tests/data": "recorded, not written",
    "tests/unit/test_language.py": "",
}
ALLOWED = {"WantedBy": "systemd's", "sandbox_faults": "a package of the Oracle stand-in"}
LEFT = ("standin/pyproject.toml", "standin/sandbox/oracle", "standin/sandbox_tests")
"""Rooms and documents that are not written in the words of the glossary yet."""
NAME = re.compile(r"\b\w*(?:_|[a-z][A-Z])\w*")
SEAM = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_+")


@cache
def not_used() -> re.Pattern[str]:
    """One pattern of everything that the last column of the glossary has in code type."""
    forms = set()
    for line in (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            for entry in re.findall(r"`([^`]+)`", line.strip("\n").removesuffix("|").rpartition("|")[2]):
                words = r"\s+".join(map(re.escape, entry.split()))
                forms.add(words.replace(r"\~", r"\w*").replace("<noun>", r"(?!longer\b)[a-z]+"))
    return re.compile(rf"(?<!there )\b(?:{'|'.join(sorted(forms))})\b", re.IGNORECASE)


@cache
def found() -> tuple[tuple[str, int, str], ...]:
    """File, line and word of everything that is not used and stands there all the same."""
    return tuple(hit for path in _files() for hit in _hits(path))


def _files() -> Iterator[Path]:
    for top in TOPS:
        for path in sorted((ROOT / top).rglob("*")) if (ROOT / top).is_dir() else [ROOT / top]:
            if path.suffix in READ and not _is_under(path.relative_to(ROOT).as_posix(), KEPT):
                yield path


def _hits(path: Path) -> Iterator[tuple[str, int, str]]:
    name, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for match in not_used().finditer(text):
        yield name, text.count("\n", 0, match.start()) + 1, match[0]
    for word in {*NAME.findall(text), *path.relative_to(ROOT).with_suffix("").parts}:
        if word not in ALLOWED and not_used().search(SEAM.sub(" ", word)):
            yield name, text.count("\n", 0, max(text.find(word), 0)) + 1, word


def _is_under(name: str, places: object) -> bool:
    return any(name == place or name.startswith(f"{place}/") for place in places)  # type: ignore[attr-defined]


def test_words_that_are_not_used_are_not_used() -> None:
    """In the rooms that are done."""
    hits = [f"{name}:{line}: {word}" for name, line, word in found() if not _is_under(name, LEFT)]
    assert hits == []


def test_what_is_left_to_do_is_left() -> None:
    """A room that is done is taken off the list, and stays done."""
    for room in LEFT:
        assert any(_is_under(name, (room,)) for name, _, _ in found()), f"{room} is done"


def test_patterns_match_texts_and_names() -> None:
    """Endings, phrases over a line's end, parts of names; not their neighbours."""
    bad = (
        "read it anew",
        "mended by hand",
        "this is no\ntable",
        "rows SET ASIDE",
        "rule faults",
        "wantedRows",
    )
    good = ("there is no table", "it is no longer read", "a default", "renewed", "recommend", "amended")
    assert [text for text in bad if not not_used().search(SEAM.sub(" ", text))] == []
    assert [text for text in good if not_used().search(SEAM.sub(" ", text))] == []
