"""Named transforms give the same inbound, where Polars computes them, and outbound, where PostgreSQL does."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator

import polars as pl
import psycopg
import pytest

from mapping_rules.language.transforms import INBOUND_TRANSFORMS
from sandbox.postgres import PostgresServer

FIXED = [
    *(None, "", " ", "   ", "a", " a ", "a  b", "  a   b  c ", "Éléonore Mbappé", "ÉÀÇŒ éàçœ", "Straße", "ŉ"),
    *("ǅ", "ΟΔΥΣΣΕΥΣ", "İstanbul ıIi", "\tx\t", "\u00a0x\u00a0", "x\n", "1 2-3", "\u0663\u0664 12", "😀 a"),
]
"""Accents, letters that become two, a final sigma, blanks other than U+0020, digits of other scripts."""


def texts() -> list[str | None]:
    """The fixed ones, every letter of Latin, Greek, Cyrillic and Armenian names, and mixtures."""
    dice = random.Random(7)  # noqa: S311 - not a secret
    letters = [
        chr(code)
        for code in (*range(0x20, 0x180), *range(0x370, 0x590))
        if unicodedata.category(chr(code))[0] in "LN"
    ]
    mixed = ["".join(dice.choices([*letters, *" " * 300], k=dice.randint(1, 12))) for _ in range(300)]
    return [*FIXED, *letters, *mixed]


@pytest.fixture(scope="module", params=["C", "C.UTF-8"])
def connection(postgres: PostgresServer, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """Databases of two locales."""
    name = f"locale_{request.param.lower().replace('.', '_').replace('-', '_')}"
    with psycopg.connect(postgres.conninfo(), autocommit=True) as made:
        made.execute(
            f"create database {name} template template0 encoding 'UTF8' "
            f"locale_provider libc locale '{request.param}'".encode()
        )
    with psycopg.connect(postgres.conninfo(name), autocommit=True) as connection:
        yield connection
    with psycopg.connect(postgres.conninfo(), autocommit=True) as made:
        made.execute(f"drop database {name} with (force)".encode())


@pytest.mark.parametrize("name", INBOUND_TRANSFORMS)
def test_both_ways_alike(connection: psycopg.Connection, name: str) -> None:
    """A value that went through comes back as it was."""
    transform, given = INBOUND_TRANSFORMS[name], texts()
    if name in ("upper", "lower", "title_case"):
        locale = connection.execute("select datctype from pg_database where datname = current_database()")
        given = with_one_letter_each(given, ascii_only=locale.fetchone() == ("C",))
    assert transform.polars is not None
    inbound = pl.DataFrame({"v": given}, schema={"v": pl.String}).select(transform.polars(pl.col("v")))["v"]
    query = (
        f"select {transform.sql('v', 'null')} from unnest(%s::text[]) with ordinality as t (v, n) order by n"
    )
    outbound = [value for (value,) in connection.execute(query.encode(), [given])]
    differing = [
        (before, one, other)
        for before, one, other in zip(given, inbound.to_list(), outbound, strict=True)
        if one != other
    ]
    assert not differing, [ascii(x) for x in differing]


def with_one_letter_each(given: list[str | None], *, ascii_only: bool) -> list[str | None]:
    """Texts whose letters have one capital and one small letter; the manual names the others."""
    return [
        text
        for text in given
        if text is None
        or (text.isascii() if ascii_only else all(_has_one_letter_each(letter) for letter in text))
    ]


def _has_one_letter_each(letter: str) -> bool:
    return len(letter.upper()) == len(letter.lower()) == 1 and letter not in "\u03a3\u03c3\u03c2"
