"""What a rule's SQL text may hold: nothing that reaches beyond the row, takes long or grows without bound."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping_rules.language.expression_tokens import FUNCTIONS, TYPES, ExpressionRefused, columns, tokens
from mapping_rules.language.expressions import compiled

CANARY = "S3cret-Canary"


class Listener:
    """An HTTP server on loopback that counts what it is asked."""

    def __init__(self) -> None:
        seen = self.seen = list[str]()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(self.path)
                self.send_error(404)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/latest/meta-data"


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    running = Listener()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secret") / "password.csv"
    path.write_text(f"{CANARY}\nx\n")
    return path


_READERS = ("read_csv", "read_parquet", "read_ipc", "read_json", "read_ndjson")
_DISGUISES = (
    "/*'*/ A IN (SELECT x FROM {call}) /*'*/",
    "--'\n A IN (SELECT x FROM {call}) --'",
    "A IN (SELECT x FROM {call})",
    "A IN ((SELECT x FROM {call}))",
    "A || $$'$$ || (SELECT x FROM {call})",
    "A || $t$'$t$ || (SELECT x FROM {call})",
    '"a\'b" || (SELECT x FROM {call}) || "a\'b"',
    "A || '\\' || (SELECT x FROM {call}) || '\\'",
    "E'\\'' || A IN (SELECT x FROM {call}) || E'\\''",
    "`A` IN (SELECT x FROM {call})",
    "A IN (WITH t AS (FROM {call}) TABLE t)",
    "EXISTS (FROM {call}) AND A = 'x'",
    "A = ANY (SELECT x FROM {call})",
    "A IN (SELECT x FROM \"{name}\"('{path}'))",
    "A IN (SELECT x FROM '{path}')",
    "{call} || A",
    "A || {call}",
)


@pytest.mark.parametrize("disguise", _DISGUISES)
@pytest.mark.parametrize("name", _READERS)
def test_no_file_and_no_address_is_read(name: str, disguise: str, secret: Path, listener: Listener) -> None:
    """A rule set that came by mail cannot make the operator's process read or send anything."""
    for path in (str(secret), listener.url):
        with pytest.raises(ExpressionRefused) as refused:
            compiled(disguise.format(call=f"{name}('{path}')", name=name, path=path))
        assert CANARY not in str(refused.value)
    assert not listener.seen


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "A",
                "B",
                "'x'",
                "'",
                "''",
                '"A"',
                '"',
                "/*",
                "*/",
                "--",
                "\n",
                " ",
                "$$",
                "\\",
                "`",
                "(",
                ")",
                "SELECT",
                "FROM",
                "read_csv",
                "now()",
                "NOW",
                "CURRENT_DATE",
                "||",
                "=",
                "IN",
                "CASE",
                "WHEN",
                "THEN",
                "END",
                "COALESCE",
                "E'",
                "X'",
                "::",
                "TRY_CAST",
                "AS",
                "INT",
                "1",
                "OVER",
                ",",
                "COUNT",
            ]
        ),
        max_size=14,
    )
)
def test_what_is_accepted_is_a_function_of_the_row(parts: list[str]) -> None:
    """Whatever the mix of quotes and comments: refused, or each row gives alone what it gives in a frame."""
    try:
        expression = compiled("".join(parts))
    except ExpressionRefused:
        return
    frame = pl.DataFrame({name: ["x", None, "1"] for name in expression.meta.root_names()})
    rows = pl.concat([frame.slice(row, 1).select_seq(expression) for row in range(frame.height)])
    assert frame.select_seq(expression).equals(rows)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("LPAD(A, 1500000000, 'x')", "length of at most"),
        ("RPAD(A, 100 * 100000)", "length of at most"),
        ("LPAD(A, LENGTH(A), 'x')", "length of at most"),
        ("REPLACE(" * 9 + "A" + ", '', 'xxxxxxxxxx')" * 9, "REPLACE: expected"),
        ("REPLACE(" * 9 + "A" + ", 'x', 'xxxxxxxxxx')" * 9, "times longer"),
        ("REPLACE(" * 9 + "A" + ", 'xx', 'xxx')" * 9, "times longer"),
        ("REPLACE(A, B, A)", "REPLACE: expected"),
        ("(" * 300 + "A" + ")" * 300, "levels of parentheses|words and signs"),
        ("(" * 60 + "A" + ")" * 60, "levels of parentheses"),
        ("CASE WHEN A = 'x' THEN " * 40 + "A" + " END" * 40, "levels of parentheses"),
        ("||".join(["A"] * 3000), "characters"),
        ("||".join(["A"] * 300), "words and signs"),
        ("NOT " * 5000 + "(A = 'x')", "characters"),
        ("REPEAT(A, 1000000)", "not an allowed function"),
    ],
)
def test_no_expression_takes_the_memory_or_the_stack(sql: str, reason: str) -> None:
    """Expressions are tried when rules are loaded, so what could grow without bound is refused before."""
    with pytest.raises(ExpressionRefused, match=reason):
        compiled(sql)


@pytest.mark.parametrize("sql", ["NOT " * 30 + "(A = 'x')", "||".join(["A"] * 200)])
def test_the_largest_that_is_let_through_does_no_harm(sql: str) -> None:
    """At the limits Polars still answers."""
    assert set(compiled(sql).meta.root_names()) == {"A"}


_EXAMPLES = {
    "CONCAT": "(A, 'x')",
    "CONCAT_WS": "(' ', A, B)",
    "LPAD": "(A, 5, '0')",
    "RPAD": "(A, 5)",
    "LEFT": "(A, 2)",
    "RIGHT": "(A, 2)",
    "SUBSTR": "(A, 1, 2)",
    "SUBSTRING": "(A, 1, 2)",
    "REPLACE": "(A, 'x', 'yy')",
    "STRPOS": "(A, 'x')",
    "STARTS_WITH": "(A, 'x')",
    "ENDS_WITH": "(A, 'x')",
    "SPLIT_PART": "(A, '-', 1)",
    "REGEXP_LIKE": "(A, '^x')",
    "COALESCE": "(A, B)",
    "NULLIF": "(A, 'x')",
    "IFNULL": "(A, B)",
    "IF": "(A = 'x', A, B)",
    "GREATEST": "(A, B)",
    "LEAST": "(A, B)",
    "TRY_CAST": "(A AS INTEGER)",
    "MOD": "(TRY_CAST(A AS INTEGER), 7)",
    "ROUND": "(TRY_CAST(A AS DECIMAL(9, 3)), 1)",
    **dict.fromkeys(["ABS", "CEIL", "CEILING", "FLOOR", "SIGN"], "(TRY_CAST(A AS DECIMAL(9, 3)))"),
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_each_allowed_function_works(name: str) -> None:
    """The manual's list promises nothing that Polars does not have, and no row's result looks at others."""
    expression = compiled(name + _EXAMPLES.get(name, "(A)"))
    frame = pl.DataFrame({"A": ["x", None, "7.125", "2024-02-29", ""], "B": ["y", "x", None, "7", "z"]})
    rows = pl.concat([frame.slice(row, 1).select_seq(expression) for row in range(frame.height)])
    assert frame.select_seq(expression).equals(rows)


@pytest.mark.parametrize("name", sorted(TYPES - {"DOUBLE", "FLOAT", "REAL", "DATE"}))
def test_each_allowed_type_works(name: str) -> None:
    """Types that give an exact value or none."""
    assert compiled(f"TRY_CAST(A AS {name})").meta.root_names() == ["A"]


def test_columns_may_be_quoted_and_named_like_words() -> None:
    """Vendor's names are written as the vendor writes them; quotes make a reserved word a column."""
    assert columns(tokens('"select" || A_1 || "Zähler #1" || \'B\'')) == {"select", "A_1", "Zähler #1"}
    assert compiled('"now" || ÉTAT').meta.root_names() == ["now", "ÉTAT"]


def test_the_manual_lists_what_is_allowed() -> None:
    """An operator finds each function in docs/rules.md, and no other."""
    manual = (Path(__file__).parents[3] / "docs" / "rules.md").read_text()
    row = next(line for line in manual.splitlines() if line.startswith("| functions |"))
    assert frozenset(row.split("`")[1].split()) == FUNCTIONS
