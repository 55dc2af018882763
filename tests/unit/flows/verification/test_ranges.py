"""Keys that look different are found, all of them and no others, by reading few rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.flows.verification.ranges import LEAF_ROWS, PARTS, ChunkSize, Suspects, sums_of, suspects
from cdc.ports import RANGE_SCHEMA, KeyRange


class Rows:
    """A side that is a mapping from key to digest."""

    def __init__(self, rows: Mapping[str, int | None]) -> None:
        self._rows = dict(sorted(rows.items()))

    def _in(self, within: KeyRange) -> dict[str, int | None]:
        return {
            key: digest
            for key, digest in self._rows.items()
            if (within.low or "") <= key and (within.high is None or key < within.high)
        }

    def range_sums(self, within: KeyRange, bounds: Sequence[str] = ()) -> pl.DataFrame:
        found = []
        for number, part in enumerate(within.cut(bounds)):
            digests = list(self._in(part).values())
            known = [digest for digest in digests if digest is not None]
            found.append((number, len(digests), sum(known) % 2**64, len(digests) - len(known)))
        return pl.DataFrame(found, schema=RANGE_SCHEMA, orient="row")

    def digests_in(self, within: KeyRange) -> pl.DataFrame:
        rows = self._in(within)
        return pl.DataFrame(
            {"sort_key": list(rows), "digest": list(rows.values())},
            schema={"sort_key": pl.String, "digest": pl.Int64},
        )

    def bounds(self, within: KeyRange, *, rows: int) -> list[str]:
        return list(self._in(within))[rows::rows]


def find(source: Mapping[str, int | None], staged: Mapping[str, int | None]) -> Suspects:
    """Of the whole key space."""
    left, right = Rows(source), Rows(staged)
    (ours,), (theirs,) = sums_of(left, KeyRange()), sums_of(right, KeyRange())
    return suspects(left, right, KeyRange(), (ours, theirs))


KEYS = st.integers(0, 400).map(lambda number: f"{number:04}")
ROWS = st.dictionaries(KEYS, st.integers(0, 2**60 - 1), max_size=300)


@settings(max_examples=30)
@given(
    ROWS,
    st.dictionaries(KEYS, st.none() | st.integers(0, 2**60 - 1), max_size=20),
    st.sets(KEYS, max_size=10),
)
def test_every_key_that_differs_is_found_and_no_other(
    rows: dict[str, int | None], changed: dict[str, int | None], gone: set[str]
) -> None:
    """Missing, extra, changed and unknown ones, on either side, beyond the last key too."""
    staged = {key: digest for key, digest in (rows | changed).items() if key not in gone}
    unlike = {
        key
        for key in rows.keys() | staged.keys()
        if rows.get(key, "none") != staged.get(key, "none") or staged.get(key) is None
    }
    assert find(rows, staged).keys == unlike
    swapped = {
        key
        for key in rows.keys() | staged.keys()
        if rows.get(key, "none") != staged.get(key, "none") or staged.get(key, 0) is None
    }
    assert find(staged, rows).keys == swapped


def test_few_rows_are_read_for_few_differences() -> None:
    """Whatever the size of the table: ten single rows of a hundred thousand."""
    rows: dict[str, int | None] = {f"{number:06}": number * 7919 for number in range(100_000)}
    wrong = {f"{number:06}": 1 for number in range(500, 100_000, 10_000)}
    found = find(rows, rows | wrong)
    assert found.keys == set(wrong)
    assert found.moved <= len(wrong) * LEAF_ROWS


def test_two_equal_wrong_rows_do_not_cancel_out() -> None:
    """They would with exclusive or."""
    rows: dict[str, int | None] = {f"{number:03}": 5 for number in range(PARTS)}
    assert find(rows, rows | {"003": 9, "004": 9}).keys == {"003", "004"}


def test_chunks_grow_and_shrink_with_the_time_they_take() -> None:
    """Bounded on both sides."""
    size = ChunkSize()
    size.adjust(0.01)
    assert size.rows == 20_000
    for _ in range(20):
        size.adjust(60)
    assert size.rows == 1_000
