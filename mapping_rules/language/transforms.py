"""The named transforms, each as a Polars expression and as SQL, equal in both.

All take text and give text, except `local_date`, which gives the calendar date of an instant in
the target system's zone and exists outbound only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from mapping_rules.language.model import Kind


@dataclass(frozen=True)
class Transform:
    """A named transform; `sql` takes the SQL of its input and the target's zone as SQL literal."""

    doc: str
    sql: Callable[[str, str], str]
    polars: Callable[[pl.Expr], pl.Expr] | None = None
    takes: Kind = Kind.TEXT
    gives: Kind = Kind.TEXT


def _capitalized_words(value: pl.Expr) -> pl.Expr:
    """As initcap: `str.to_titlecase` of Polars begins a word behind each digit too."""
    piece = pl.element()
    capitalized = piece.str.head(1).str.to_uppercase() + piece.str.tail(-1).str.to_lowercase()
    return value.str.extract_all(r"[\p{L}\p{Nd}]+|[^\p{L}\p{Nd}]+").list.eval(capitalized).list.join("")


TRANSFORMS: Mapping[str, Transform] = {
    "trim": Transform(
        "without blanks at both ends",
        lambda value, _: f"btrim({value}, ' ')",
        lambda value: value.str.strip_chars(" "),
    ),
    "rtrim": Transform(
        "without blanks at the end",
        lambda value, _: f"rtrim({value}, ' ')",
        lambda value: value.str.strip_chars_end(" "),
    ),
    "ltrim": Transform(
        "without blanks at the start",
        lambda value, _: f"ltrim({value}, ' ')",
        lambda value: value.str.strip_chars_start(" "),
    ),
    "collapse_spaces": Transform(
        "trimmed, with runs of blanks inside made one blank",
        lambda value, _: f"btrim(regexp_replace({value}, ' +', ' ', 'g'), ' ')",
        lambda value: value.str.replace_all(" +", " ").str.strip_chars(" "),
    ),
    "digits_only": Transform(
        "digits 0 to 9 only",
        lambda value, _: f"regexp_replace({value}, '[^0-9]', '', 'g')",
        lambda value: value.str.replace_all("[^0-9]", ""),
    ),
    "upper": Transform(
        "in capital letters",
        lambda value, _: f"upper({value})",
        lambda value: value.str.to_uppercase(),
    ),
    "lower": Transform(
        "in small letters",
        lambda value, _: f"lower({value})",
        lambda value: value.str.to_lowercase(),
    ),
    "title_case": Transform(
        "each word with a capital letter first and small ones after it; a word is letters and digits",
        lambda value, _: f"initcap({value})",
        _capitalized_words,
    ),
    "empty_to_null": Transform(
        "no value where the text is empty",
        lambda value, _: f"nullif({value}, '')",
        lambda value: pl.when(value != "").then(value),
    ),
    "local_date": Transform(
        "calendar date of an instant in the target system's time zone (outbound only)",
        lambda value, zone: f"({value} at time zone {zone})::date",
        takes=Kind.TIMESTAMP,
        gives=Kind.DATE,
    ),
}

INBOUND_TRANSFORMS = {name: one for name, one in TRANSFORMS.items() if one.polars is not None}
