"""Source text to typed values, as Polars expressions, with what can be wrong named.

Nothing is rounded, cut or guessed: a value that does not fit its entity column is null here and a
`RejectionCase` says why, so that the row alone is rejected. Text forms are those of
`cdc.changes.SourceType`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from cdc.changes import SourceType
from mapping_rules.language.constants import typed
from mapping_rules.language.model import Conventions, EntityType, Kind, Lookup
from mapping_rules.language.reasons import Reason

NUMERIC = r"^-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_LOCAL = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?: [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6}0*)?)?$"
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


@dataclass(frozen=True)
class RejectionCase:
    """What is wrong where `when` holds; among several of a column the first counts."""

    when: pl.Expr
    code: Reason
    reason: str


@dataclass(frozen=True)
class Typed:
    """A typed value, and its rejections, over a frame that has the raw text as `raw`."""

    value: pl.Expr
    rejections: Callable[[pl.Expr, pl.Expr], list[RejectionCase]]
    """From raw text and value to the rejections; the last holds wherever any of them does."""


@dataclass(frozen=True)
class Site:
    """What a system's values depend on besides their types."""

    conventions: Conventions
    time_zone: str
    may_hold_nul: bool
    """Oracle text may hold the NUL character, PostgreSQL's cannot."""


def normalised(text: pl.Expr, source: SourceType, site: Site) -> pl.Expr:
    """Text after the vendor's conventions: OUAF pads CHAR and writes one blank for no value."""
    if site.conventions is Conventions.OUAF and source is SourceType.TEXT:
        trimmed = text.str.strip_chars_end(" ")
        return pl.when(trimmed != "").then(trimmed)
    return text


def typed_value(raw: pl.Expr, source: SourceType, target: EntityType, site: Site) -> Typed:
    """The value of a column of type `target` whose normalised text is `raw`."""
    match target.kind:
        case Kind.TEXT:
            return _text(raw, site)
        case Kind.INTEGER | Kind.DECIMAL:
            return _number(raw, target)
        case Kind.BOOLEAN:
            return _boolean(raw, source, site)
        case Kind.DATE:
            return _date(raw, source, site)
        case Kind.TIMESTAMP:
            return _timestamp(raw, source, site)


def translated(raw: pl.Expr, lookup: Lookup, target: EntityType) -> Typed:
    """The meaning of the code `raw`; without a default an unknown code is a rejection."""
    codes = list(lookup.values)
    meanings = [None if meaning is None else typed(meaning, target) for meaning in lookup.values.values()]
    default = None if lookup.default is None else typed(lookup.default, target)
    value = raw.replace_strict(
        pl.Series(codes, dtype=pl.String),
        pl.Series(meanings, dtype=target.polars, strict=False),
        default=pl.lit(default, dtype=target.polars),
        return_dtype=target.polars,
    )
    known = pl.when(raw.is_not_null()).then(value)
    if lookup.has_default:
        return Typed(known, lambda _raw, _value: [])
    reason = f"found a code that lookup {lookup.name} does not hold"
    return Typed(
        known,
        lambda text, _: [
            RejectionCase(text.is_not_null() & ~text.is_in(codes), Reason.UNKNOWN_LOOKUP, reason)
        ],
    )


def _text(raw: pl.Expr, site: Site) -> Typed:
    if not site.may_hold_nul:
        return Typed(raw, lambda _raw, _value: [])
    reason = "found text with the NUL character, expected text that a database can hold"
    return Typed(
        raw,
        lambda text, _: [RejectionCase(text.str.contains("\0", literal=True), Reason.NUL_CHARACTER, reason)],
    )


def _number(raw: pl.Expr, target: EntityType) -> Typed:
    whole = 19 if target.kind is Kind.INTEGER else target.precision - target.scale
    digits = rf"-?0*[0-9]{{0,{whole}}}"
    if target.kind is Kind.INTEGER:
        exact = rf"^({digits})(?:\.0*)?$"
    else:
        exact = rf"^({digits}(?:\.[0-9]{{0,{target.scale}}}0*)?)$"
    # what does not fit, or holds no digit, becomes null
    value = raw.str.extract(exact).cast(target.polars, strict=False)

    def rejections(text: pl.Expr, found: pl.Expr) -> list[RejectionCase]:
        bad = text.is_not_null() & found.is_null()
        too_fine = text.str.contains(rf"\.[0-9]{{{target.scale}}}[0-9]*[1-9]")
        return [
            RejectionCase(
                bad & ~text.str.contains(NUMERIC), Reason.NOT_A_NUMBER, f"found no number, expected {target}"
            ),
            RejectionCase(bad & too_fine, Reason.NUMBER_TOO_FINE, f"found a finer number, expected {target}"),
            RejectionCase(bad, Reason.NUMBER_OUT_OF_RANGE, f"found a number out of range, expected {target}"),
        ]

    return Typed(value, rejections)


def _boolean(raw: pl.Expr, source: SourceType, site: Site) -> Typed:
    yes, no = switch_texts(source, site)
    value = pl.when(raw == yes).then(True).when(raw == no).then(False)
    reason = f"found an unknown switch, expected {yes} or {no}"
    return Typed(
        value,
        lambda text, found: [
            RejectionCase(text.is_not_null() & found.is_null(), Reason.UNKNOWN_SWITCH, reason)
        ],
    )


def switch_texts(source: SourceType, site: Site) -> tuple[str, str]:
    """How true and false are written in a column of that type."""
    ouaf_switch = site.conventions is Conventions.OUAF and source is SourceType.TEXT
    return ("Y", "N") if ouaf_switch else ("t", "f")


def _date(raw: pl.Expr, source: SourceType, site: Site) -> Typed:
    if source is SourceType.TIMESTAMP_TZ:
        value = _instant(raw).dt.convert_time_zone(site.time_zone).dt.date()
    elif source is SourceType.TIMESTAMP:
        value = pl.when(raw.str.contains(_LOCAL)).then(raw.str.head(10)).str.to_date("%Y-%m-%d", strict=False)
    else:
        value = pl.when(raw.str.contains(_DATE)).then(raw).str.to_date("%Y-%m-%d", strict=False)
    value = pl.when(value.dt.year() >= 1).then(value)
    reason = "found no date of the years 1 to 9999, expected a date"
    return Typed(
        value,
        lambda text, found: [RejectionCase(text.is_not_null() & found.is_null(), Reason.BAD_DATE, reason)],
    )


def _timestamp(raw: pl.Expr, source: SourceType, site: Site) -> Typed:
    if source is SourceType.TIMESTAMP_TZ:
        value = _instant(raw)
    else:
        # Clocks set back show an hour twice: the earlier instant is taken. Clocks set forward skip
        # an hour: a time within it never was.
        value = (
            _local(raw)
            .dt.replace_time_zone(site.time_zone, ambiguous="earliest", non_existent="null")
            .dt.convert_time_zone("UTC")
        )
    value = pl.when(value.is_between(pl.lit(_EARLIEST), pl.lit(_LATEST))).then(value)

    def rejections(text: pl.Expr, found: pl.Expr) -> list[RejectionCase]:
        bad = text.is_not_null() & found.is_null()
        shaped = [] if source is SourceType.TIMESTAMP_TZ else [_skipped(text, bad, site)]
        reason = "found no time of the years 1 to 9999 in whole microseconds, expected a time"
        return [*shaped, RejectionCase(bad, Reason.BAD_TIMESTAMP, reason)]

    return Typed(value, rejections)


def _skipped(text: pl.Expr, bad: pl.Expr, site: Site) -> RejectionCase:
    inside = _local(text).dt.year().is_between(2, 9998)
    reason = f"found a local time that never was, its hour was skipped in {site.time_zone}"
    return RejectionCase(bad & inside, Reason.NONEXISTENT_LOCAL_TIME, reason)


def _local(raw: pl.Expr) -> pl.Expr:
    shaped = pl.when(raw.str.contains(_LOCAL)).then(raw)
    full = pl.when(shaped.str.len_bytes() == 10).then(shaped + pl.lit(" 00:00:00")).otherwise(shaped)
    return full.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")


def _instant(raw: pl.Expr) -> pl.Expr:
    utc = pl.when(raw.str.ends_with("+00")).then(raw.str.head(-3))
    return _local(utc).dt.replace_time_zone("UTC")
