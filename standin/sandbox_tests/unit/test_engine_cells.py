from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.oracle import cells

numbers = st.decimals(min_value=-(10**30), max_value=10**30, allow_nan=False, allow_infinity=False, places=8)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("1", "c102"),
        ("2.5", "c10333"),
        ("-1", "3e6466"),
        ("100", "c202"),
        ("0.01", "c002"),
        ("0", "80"),
        ("1729", "c2121e"),
    ],
)
def test_numbers_have_the_wire_form(value: str, cell: str) -> None:
    """Vectors taken from the protocol and from recorded redo."""
    assert cells.encode_number(Decimal(value)).hex() == cell


@given(numbers, numbers)
def test_numbers_are_exact_and_ordered_like_their_cells(left: Decimal, right: Decimal) -> None:
    """A value comes back unchanged, its text too, and bytes compare as values do."""
    a, b = cells.encode_number(left), cells.encode_number(right)
    assert cells.decode_number(a) == left
    assert Decimal(cells.number_text(a)) == left
    assert (a < b) == (left < right)


@given(st.integers(min_value=-(10**38), max_value=10**38))
def test_integers_and_decimals_have_one_form(value: int) -> None:
    """An int and the Decimal of it encode to the same bytes, as equality needs."""
    assert cells.encode_number(value) == cells.encode_number(Decimal(value))


@pytest.mark.parametrize("text", [".05", "-.01", "12.5", "1000", "0", "123456789012345678901234567890"])
def test_number_text_is_as_oracle_writes_it(text: str) -> None:
    """No zero before the point, nothing behind the last digit."""
    assert cells.number_text(cells.encode_number(Decimal(text))) == text


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001
def test_timestamps_come_back(moment: datetime) -> None:
    """To the microsecond, in seven bytes when there is no fraction."""
    cell = cells.encode_timestamp(moment)
    assert cells.decode_date(cell) == moment
    assert len(cell) == (11 if moment.microsecond else 7)


def test_a_zoned_time_keeps_moment_and_offset() -> None:
    """The fields are in UTC, the offset beside them, also when it is negative."""
    for hours in (5.5, -3.5, 0):
        moment = datetime(2024, 2, 29, 23, 59, 58, 5000, tzinfo=timezone(timedelta(hours=hours)))
        found = cells.decode_timestamp_tz(cells.encode_timestamp_tz(moment))
        assert found == moment
        assert found.utcoffset() == moment.utcoffset()
        assert cells.decode_date(cells.encode_timestamp_tz(moment)) == moment.astimezone(UTC).replace(
            tzinfo=None
        )


def test_row_ids_are_as_recorded() -> None:
    """A recorded row id, there and back."""
    assert cells.rowid_text(73206, 7, 347, 0) == "AAAR32AAHAAAAFbAAA"
    assert cells.rowid_parts("AAAR32AAHAAAAFbAAA") == (73206, 7, 347, 0)
