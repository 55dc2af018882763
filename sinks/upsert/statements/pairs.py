"""Which entity kinds go into which types of PostgreSQL, how they are cast, when a value came back whole.

The one table of allowed pairs. `ccbridge check` refuses every other pair, and `docs/rules.md` shows it (a
test compares them). A value is written only if it comes back from the target's type as it went in; where
the cast alone cannot guarantee that, the pair has a condition, and a value that fails it is a dead letter.

Templates: `{v}` the value as text, `{type}` the target's type, `{zone}` the target's time zone, `{t}` the
value in the target's declared type.
Source: PostgreSQL 17 documentation, chapters "Data Types" and "Type Conversion".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mapping_rules import Kind


@dataclass(frozen=True)
class Pair:
    """An entity kind in a target type.

    Args:
        cast: makes the target's value of the text.
        kept: true if the value came back as it went in; None if the cast cannot change it.
        if_declared: `kept` matters only where the column has a length or scale.
    """

    cast: str = "{v}::{type}"
    kept: str | None = None
    if_declared: bool = False


_AS_IT_IS = Pair()
_PADDED = Pair(kept="{t}::text = rtrim({v}, ' ')")
# as the server puts it out; the cast of some types to text says something else (inet)
_BY_TEXT = Pair(kept="format('%%s', {t}) = {v}")
_TEXTS: Mapping[str, Pair] = {
    "text": _AS_IT_IS,
    "character varying": _AS_IT_IS,
    "bpchar": _PADDED,
    "citext": _AS_IT_IS,
}
"""Every kind has a text of its own: of numbers, dates and instants (UTC) the one that staging shows."""

_INTEGERS = ("smallint", "integer", "bigint")
_FLOATS = ("real", "double precision")
_FLOAT = Pair(kept="{t}::text::numeric = {v}::numeric")
_MONEY = Pair(kept="{t}::numeric = {v}::numeric")
_NUMERIC = Pair(kept="{t} = {v}::numeric", if_declared=True)

_PAIRS: Mapping[Kind, Mapping[str, Pair]] = {
    Kind.INTEGER: {
        **_TEXTS,
        **dict.fromkeys(_INTEGERS, _AS_IT_IS),
        **dict.fromkeys(_FLOATS, _FLOAT),
        "numeric": _NUMERIC,
        "money": _MONEY,
    },
    Kind.DECIMAL: {
        **_TEXTS,
        **dict.fromkeys(_INTEGERS, Pair("{v}::numeric::{type}", "{t}::numeric = {v}::numeric")),
        **dict.fromkeys(_FLOATS, _FLOAT),
        "numeric": _NUMERIC,
        "money": _MONEY,
    },
    Kind.BOOLEAN: {"boolean": _AS_IT_IS},
    Kind.DATE: {
        **_TEXTS,
        "date": _AS_IT_IS,
        "timestamp without time zone": _AS_IT_IS,
        "timestamp with time zone": Pair(
            "({v}::timestamp at time zone {zone})::{type}", "({t} at time zone {zone})::date = {v}::date"
        ),
    },
    Kind.TIMESTAMP: {
        **_TEXTS,
        "timestamp with time zone": Pair(kept="{t} = {v}::timestamptz", if_declared=True),
        "timestamp without time zone": Pair(
            "({v}::timestamptz at time zone {zone})::{type}", "({t} at time zone {zone}) = {v}::timestamptz"
        ),
        # the calendar day on purpose: the time of day is left out
        "date": Pair("({v}::timestamptz at time zone {zone})::{type}"),
    },
}
_TEXT_PAIRS: Mapping[str, Pair] = {
    **_TEXTS,
    "json": _AS_IT_IS,
    "jsonb": _AS_IT_IS,
    "boolean": Pair(kept="{v} in ('t', 'f', 'true', 'false')"),
    "uuid": Pair(kept="{t}::text = lower({v})"),
    # more or fewer zeros at the end are the same number; a number's text has no zeros in front
    "numeric": Pair(
        kept="{t} = {v}::numeric and ({v} ~ '^-?(0|[1-9][0-9]*)([.][0-9]+)?$' or {v} = {t}::text)"
    ),
    "bytea": Pair("decode({v}, 'hex')", "encode({t}, 'hex') = lower({v})"),
}
"""Kind text into types that have more than one text for a value; into all others by their own text."""

_NOT_BY_TEXT = frozenset(
    (
        # names and numbers of the target's own catalog
        "aclitem",
        "regclass",
        "regcollation",
        "regconfig",
        "regdictionary",
        "regnamespace",
        "regoper",
        "regoperator",
        "regproc",
        "regprocedure",
        "regrole",
        "regtype",
        # types without input, of access methods and statistics
        "ghstore",
        "gtrgm",
        "ltree_gist",
        "gtsvector",
        "pg_brin_bloom_summary",
        "pg_brin_minmax_multi_summary",
        "pg_dependencies",
        "pg_mcv_list",
        "pg_ndistinct",
        "pg_node_tree",
    )
)

_KEYS_BY_TEXT = frozenset(
    (
        *_TEXTS,
        *_INTEGERS,
        '"char"',
        "name",
        "uuid",
        "bytea",
        "numeric",
        "oid",
        "date",
        "timestamp without time zone",
        "timestamp with time zone",
        "time without time zone",
        "inet",
        "cidr",
        "macaddr",
        "macaddr8",
        "pg_lsn",
        '"bit"',
        "bit varying",
        "boolean",
    )
)
"""Types in which a key of kind text is either one text a value or compared by `sinks.upsert.rivals`."""


def pair(kind: Kind, base: str, *, element: str | None = None) -> Pair | None:
    """How values of a kind go into a type; None where they do not.

    Args:
        kind: of the entity column, after lookup and transforms.
        base: SQL name of the type without length or scale, domains resolved.
        element: that of the elements, for an array.
    """
    base = base.rpartition(".")[2] if base.rpartition(".")[2] == "citext" else base
    if kind is not Kind.TEXT:
        return _PAIRS[kind].get(base)
    if base in _NOT_BY_TEXT or element in _NOT_BY_TEXT:
        return None
    return _TEXT_PAIRS.get(base, _BY_TEXT)


def may_be_key(kind: Kind, base: str, *, is_enum: bool = False) -> bool:
    """True if a key of that kind is one row of the target, whatever its spelling."""
    base = base.rpartition(".")[2] if base.rpartition(".")[2] == "citext" else base
    if kind is Kind.TEXT:
        return base in _KEYS_BY_TEXT or is_enum
    return base in _PAIRS[kind] and (kind, base) != (Kind.TIMESTAMP, "date")


def manual() -> str:
    """The table of `docs/rules.md`: each kind, the types it goes into, those of them that may be a key."""
    lines = ["| kind | goes into | may be a key in |", "|---|---|---|"]
    for kind, pairs in _PAIRS.items():
        keys = sorted(base for base in pairs if may_be_key(kind, base))
        lines.append(f"| `{kind}` | {', '.join(sorted(pairs))} | {', '.join(keys)} |")
    others = ", ".join(sorted(_NOT_BY_TEXT))
    keys = sorted(_KEYS_BY_TEXT)
    lines.append(f"| `text` | every other type, but not {others} | {', '.join(keys)}, enumerations |")
    return "\n".join(lines)
