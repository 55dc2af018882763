"""What is sent while the application's search_path is set names the schema of all it uses."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from psycopg import sql

from cdc.changes import TableName
from sinks.upsert import unique_swaps
from sinks.upsert.statements import writing
from sinks.upsert.statements.layout import Layout
from sinks.upsert.statements.target_tables import TargetColumn, TargetTable
from sinks.upsert.unique_swaps import Exchange
from tests.integration.sinks.upsert_target import program

_GRAMMAR = frozenset(
    (
        "coalesce",
        "array",
        "any",
        "into",
        "t",
        "d",
        "x",
        "as",
        "values",
        "where",
        "from",
        "select",
        "and",
        "not",
        "set",
    )
)
"""Words before a bracket that the parser knows itself: no schema is looked at for them."""


def column(name: str, base: str = "character varying") -> TargetColumn:
    return TargetColumn(name, base, base, "S", None, False, False, False, False)


def layout(*, triggers: bool) -> Layout:
    rule = program("shop", ["id"], ["note", "active"], on_delete="deactivate")
    columns = (column("id"), column("note"), column("active", "boolean"))
    table = TargetTable(TableName("public", "shop"), columns, (frozenset({"id"}),), triggers)
    return Layout.of(rule, table, 0, "UTC")


def unqualified(statement: sql.Composed | sql.SQL) -> list[str]:
    """Functions, operators and types of a statement that the server would look up along the search_path."""
    text = re.sub(r"'(?:[^']|'')*'", "''", statement.as_string())
    text = re.sub(r'operator\((?:"?\w+"?)\.[^\s)]+\)', " ", text)
    text = re.sub(r"%\(\w+\)s", "0", text)
    found = re.findall(r"is (?:not )?distinct from", text)
    # assignments of an update are not operators
    text = re.sub(r'(?<=set )"?\w+"? =|(?<=, )"?\w+"? = (?=d\.)', " ", text)
    found += [word for word in re.findall(r'(?<![\w."])([a-z_]\w*)\s*\(', text) if word not in _GRAMMAR]
    found += re.findall(r"::(?!pg_catalog\.)[\w. ]+", text)
    return found + re.findall(r"\|\||->>?|<>|<=|>=|[<>=+/~&|]|(?<=[\s\w)])-(?=\s)", text.replace("::", " "))


@pytest.mark.parametrize("triggers", [False, True])
def test_statements_that_write_the_target_leave_nothing_to_the_search_path(triggers: bool) -> None:
    """A function or operator in a schema of the application could otherwise be called as our user."""
    laid = layout(triggers=triggers)
    statements = {
        "insert": writing.insert(laid),
        "update": writing.update(laid, 0b11),
        "deactivate": writing.deactivate(laid),
        "delete": writing.delete(laid),
        "give up null": unique_swaps.release_values(laid, Exchange("i", "note")),
    }
    for kind, value in unique_swaps._STAND_INS.items():
        statements[f"give up {kind}"] = unique_swaps.release_values(laid, Exchange("i", "note", value))
    assert {name: found for name, text in statements.items() if (found := unqualified(text))} == {}


def test_the_check_sees_what_is_left_to_the_search_path() -> None:
    """Each kind of name, lest the other test passes for nothing."""
    seen = unqualified(sql.SQL("select lower(a)::text from t where a = b and c is distinct from d || e - 1"))
    assert seen == ["is distinct from", "lower", "::text from t where a ", "=", "||", "-"]


def test_every_operator_of_a_key_is_that_of_its_type() -> None:
    """A type of an extension has its operator in the extension's schema."""
    laid = layout(triggers=False)
    key = replace(laid.key[0], base="ext.citext", operators="ext")
    assert 'operator("ext".=)' in replace(laid, key=(key,)).match.as_string()
