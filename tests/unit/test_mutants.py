"""The list of guards that `make mutants` breaks follows the code."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.guard import Guard, Stale
from tests.mutants.guards import GUARDS
from tests.mutants.operators import PURE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_guard_is_where_the_list_says_and_its_tests_exist(guard: Guard) -> None:
    """Its text stands once in its file, what results is Python, and each test is there."""
    text = (ROOT / guard.file).read_text(encoding="utf-8")
    assert guard.broken(text) != text
    for test in guard.tests:
        file, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("module", PURE)
def test_a_module_that_is_altered_and_its_tests_are_there(module: str) -> None:
    """Files move; a score of tests that are not run would be none."""
    files = [module, *(f"tests/unit/{test}" for test in PURE[module])]
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_guards_have_names_of_their_own_and_are_many() -> None:
    """`--only` finds one by its name."""
    assert [name for name, count in Counter(guard.name for guard in GUARDS).items() if count > 1] == []
    assert len(GUARDS) >= 30


@pytest.mark.parametrize("text", ["", "a = 1\na = 1\n"])
def test_a_text_that_is_gone_or_not_alone_is_an_error(text: str) -> None:
    """Otherwise a guard would be called noticed, or unnoticed, without having been broken."""
    guard = Guard("a", "a.py", "a = 1\n", "", "", ())
    with pytest.raises(Stale, match="expected the text once"):
        guard.broken(text)
