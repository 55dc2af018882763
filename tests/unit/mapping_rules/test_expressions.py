"""The SQL escape hatch lets through what is safe for every row, and nothing else."""

from __future__ import annotations

import pytest

from mapping_rules.language.expression_tokens import ExpressionRefused
from mapping_rules.language.expressions import compiled, sources


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("read_csv('/etc/passwd')", "not an allowed function"),
        ("(select 1)", "'select' is not allowed"),
        ("SUM(A)", "not an allowed function"),
        ("COUNT(A)", "not an allowed function"),
        ("A || COUNT(B)", "not an allowed function"),
        ("COALESCE(A, MAX(B))", "not an allowed function"),
        ("UNNEST(A)", "'UNNEST' is not allowed"),
        ("ROW_NUMBER() OVER (ORDER BY A)", "not an allowed function"),
        ("NOW()", "'NOW' is not allowed"),
        ("CASE WHEN A = 'x' THEN CURRENT_TIMESTAMP END", "'CURRENT_TIMESTAMP' is not allowed"),
        ("CAST(A AS INT)", "write TRY_CAST"),
        ("A::INT", "write TRY_CAST"),
        ("A, B", "not one Polars SQL expression"),
        ("A; DROP TABLE B", "';' is not allowed"),
        ("*", "not one Polars SQL expression|over at least one column"),
        ("COLUMNS('A.*')", "'COLUMNS' is not allowed"),
        ("'constant'", "use `value` for constants"),
        ("A + 1", "does not work on text columns"),
        ("TRY_CAST(A AS DOUBLE)", "floating point"),
        ("TRY_CAST(A AS DATE)", "fails for every row"),
    ],
)
def test_what_could_surprise_is_refused_at_load(sql: str, reason: str) -> None:
    """No files, no other rows, no clock, no stop in the middle of a batch, no rounding."""
    with pytest.raises(ExpressionRefused, match=reason):
        compiled(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "CASE WHEN A = 'now' THEN B ELSE UPPER(A) END",
        "CONCAT_WS(', ', A, NULLIF(B, ''))",
        "TRY_CAST(A AS DECIMAL(10, 2))",
        "A = 'x'",
        "SUBSTR(A, 1, 3) || '-' || LENGTH(B)",
    ],
)
def test_ordinary_expressions_are_let_through(sql: str) -> None:
    """What rules need: cases, pieces, joined texts, casts that give null."""
    assert compiled(sql).meta.root_names()


def test_the_columns_read_are_known() -> None:
    """They count as mapped, and are absent together with the result."""
    assert sources("COALESCE(NULLIF(B, 'now'), A) || B") == ("B", "A")
