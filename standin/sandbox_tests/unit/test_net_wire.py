"""Variable length integers, byte strings and requests cut into packets."""

from __future__ import annotations

import random

import pytest

from sandbox.oracle.net.wire import Reader, WireError, long_text, sb, text, ub


def reader_of(data: bytes, *, piece: int = 1) -> Reader:
    """A reader that gets `piece` bytes at a time."""
    pieces = iter([data[start : start + piece] for start in range(0, len(data), piece)])

    def refill() -> bytes:
        try:
            return next(pieces)
        except StopIteration:
            raise EOFError from None

    return Reader(refill)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (1, "0101"), (255, "01ff"), (256, "020100"), (1403, "02057b"), (2**32, "050100000000")],
)
def test_integers_are_as_short_as_possible(value: int, encoded: str) -> None:
    """Width first, no leading zeros, as recorded from clients."""
    assert ub(value).hex() == encoded
    assert reader_of(ub(value)).ub() == value


def test_negative_integers_have_a_bit_in_the_width() -> None:
    """-127 is the scale of a NUMBER of any scale."""
    assert sb(-127).hex() == "817f"
    assert [reader_of(sb(value)).sb() for value in (-127, -1, 0, 7, -70000)] == [-127, -1, 0, 7, -70000]


@pytest.mark.parametrize("size", [0, 1, 252, 253, 254, 255, 32767, 32768, 100000])
@pytest.mark.parametrize("piece", [1, 7, 8192, 200000])
def test_byte_strings_of_any_length_survive_any_cut(size: int, piece: int) -> None:
    """From 253 bytes on they travel in chunks; empty is NULL."""
    if piece == 1 and size > 1000:
        piece = 3
    value = random.Random(size).randbytes(size)  # noqa: S311 (the same bytes each time)
    expected = value or None
    reader = reader_of(text(value) + long_text(value) + b"\x01", piece=piece)
    assert reader.text() == expected
    assert reader.long_text() == expected
    assert reader.u8() == 1


def test_an_integer_of_nine_bytes_is_refused() -> None:
    """A decoding slip shows at once, not as a huge allocation."""
    with pytest.raises(WireError, match="integer of 9 bytes"):
        reader_of(b"\x09" + bytes(9)).ub()


def test_a_message_that_never_ends_asks_for_more() -> None:
    """The reader waits for the next packet rather than inventing bytes."""
    with pytest.raises(EOFError):
        reader_of(b"\x05abc").text()


def test_terminated_text_over_packets() -> None:
    """The driver's name ends with a zero."""
    reader = reader_of(b"python-oracledb\0rest", piece=4)
    assert (reader.terminated(), reader.raw(4)) == (b"python-oracledb", b"rest")
