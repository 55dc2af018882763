"""Secrets in texts: which values are hidden, and how much of them."""

from __future__ import annotations

import pytest

from cdc import printable
from cdc.printable import masked, register_secret


@pytest.fixture(autouse=True)
def no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printable, "_secrets", set[str]())


def test_the_shortest_values_only_are_not_secrets() -> None:
    """Three letters would be hidden in half of all words; four are a password."""
    register_secret("ora")
    register_secret("or4c")
    assert masked("oracle or4c") == "oracle ***"


@pytest.mark.parametrize("order", [1, -1])
def test_nothing_is_left_of_a_secret_that_holds_another(order: int) -> None:
    """The longer one is looked for first, whichever was registered first."""
    for secret in ("winter", "winter-2026!")[::order]:
        register_secret(secret)
    assert masked("tried winter-2026! and winter") == "tried *** and ***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=winter", "password=***"),
        ("Authorization: Bearer abcd.efgh", "Authorization: Bearer ***"),
        ("postgresql://u:winter@h/db", "postgresql://u:***@h/db"),
        ("CCBRIDGE/winter@h:1521/CCB", "CCBRIDGE/***@h:1521/CCB"),
    ],
)
def test_what_stands_before_a_secret_stays(text: str, shown: str) -> None:
    """Which password it was about is what a reader of the log needs."""
    assert masked(text) == shown
