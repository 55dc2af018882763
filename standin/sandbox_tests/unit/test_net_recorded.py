"""Bytes recorded from clients of different families, taken apart as they came."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sandbox.oracle.interface import Bind, Cell, CheckCancel, Client, DbType, Outcome, Session
from sandbox.oracle.net.binds import read_metadata
from sandbox.oracle.net.execute import Executor
from sandbox.oracle.net.lob import LobStore
from sandbox.oracle.net.opening.handshake import data_types_answer
from sandbox.oracle.net.piggybacks import PiggybackTarget, handle
from sandbox.oracle.net.requests import read_execute
from sandbox.oracle.net.terms import Dialect, Terms
from sandbox.oracle.net.wire import Reader, WireError, ub

PYTHON, JDBC = Terms(), Terms(inner_lengths=False, wide_scale=True)


def recorded(text: str) -> Reader:
    """A reader of recorded bytes that ends the test when it wants more than there was."""
    return Reader(lambda: pytest.fail("read beyond the recorded message"), bytes.fromhex(text))


class _Silent:
    """A session that only notes who it belongs to."""

    id = serial = 1
    in_transaction = False

    def describe(self, statement: str) -> tuple[()]:
        return ()

    def execute(
        self,
        statement: str,
        binds: Sequence[Bind],
        rows: Sequence[Sequence[Cell | list[Cell]]],
        *,
        batch_errors: bool,
        check_cancel: CheckCancel,
    ) -> Outcome:
        return Outcome()

    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def identify(self, client: Client) -> None: ...
    def set_current_schema(self, schema: str) -> None: ...
    def close(self) -> None: ...


def target_of(terms: Terms) -> PiggybackTarget:
    session: Session = _Silent()
    executor = Executor(session, terms, lambda: None)
    return PiggybackTarget(session, executor, Client("SCOTT", action="old"), terms)


@pytest.mark.parametrize(
    ("terms", "message", "expected"),
    [
        (
            PYTHON,
            "0000 0119 010105 010106 010103 0000 0000 0000 0000 0000 0000"
            "054944454e54 064d4f44554c45 03414354",
            ("IDENT", "MODULE", "ACT"),
        ),
        (PYTHON, "0000 0110 0000 0000 0100 0000 0000 0000 0000 0000 0000 00", ("", "", "")),
        (
            JDBC,
            "0000 0158 0000 010108 0100 0000 000101 0000 0000 0000 0000 6d796d6f64756c65",
            ("", "mymodule", ""),
        ),
    ],
)
def test_end_to_end_names(terms: Terms, message: str, expected: tuple[str, str, str]) -> None:
    """With inner lengths, with an empty text, and as plain bytes; nothing is left over."""
    target, reader = target_of(terms), recorded(message + "03")
    handle(135, reader, target)
    assert (target.client.identifier, target.client.module, target.client.action) == expected
    assert reader.raw(1) == b"\x03"


def test_closing_cursors_of_unknown_ids_is_harmless() -> None:
    """A client may close what an error closed already."""
    target = target_of(PYTHON)
    kept, gone = target.executor.cursors.new("select 1"), target.executor.cursors.new("select 2")
    reader = Reader(bytes, b"\x01" + ub(2) + ub(gone.id) + ub(99))
    handle(105, reader, target)
    assert target.executor.cursors.get(kept.id) is kept
    assert len(target.executor.cursors) == 1


def test_an_unknown_piggyback_is_an_error() -> None:
    """It has no length, so nothing behind it can be read."""
    with pytest.raises(WireError, match="piggyback 254"):
        handle(254, recorded("00"), target_of(PYTHON))


def test_a_temporary_lob_keeps_the_locator_size_of_its_client() -> None:
    """JDBC sends 108 bytes, a change number and the amount in front of the data, and wants 108 back."""
    lobs = LobStore()
    request = "01 016c 00 010a 00 00 01 00 01 020110 01 0101 0101 0170 01 000000000000"
    answer = lobs.call(recorded(request + "006a" + "00" * 106 + "020369 0101 010a"))
    locator = answer[1:109]
    assert answer[:3] == b"\x08\x00\x6a"
    assert answer[109:] == b"\0\x01\x0a\0"
    assert lobs.find(locator).temporary
    lobs.free(locator + lobs.locator(lobs.add(DbType.BLOB, b"x")))
    assert lobs.content(None) is None


def test_a_locator_carries_its_size_only_for_clients_that_prefetch() -> None:
    """Others read the locator right behind its length."""
    lobs = LobStore()
    owned: list[int] = []
    bare = lobs.value(DbType.CLOB, b"text", prefetch=None, owned=owned)
    sized = lobs.value(DbType.CLOB, b"text", prefetch=0, owned=owned)
    ahead = lobs.value(DbType.CLOB, b"text", prefetch=3, owned=owned)
    assert (bare[:3].hex(), len(bare)) == ("012828", 43)
    assert sized.hex().startswith("0128" + "0104" + "021f7c" + "28")
    assert ahead.hex().startswith("0128" + "0104" + "021f7c" + "0001" + "03" + b"tex".hex() + "28")
    assert len(owned) == 3


def test_the_scale_of_a_bind_follows_the_type_table() -> None:
    """JDBC's timestamp: type b4, its scale 9 in two bytes."""
    (bind,) = read_metadata(recorded("b403 00 0109 010b 00 00 00 00 00 00 00 00"), 1, JDBC)
    assert (bind.type, bind.size) == (DbType.TIMESTAMP, 11)


def test_an_execute_request_of_python() -> None:
    """As recorded for a query of 27 characters with two rows to prefetch."""
    reader = recorded(
        "028061 00 01 011b 01 010d 00 00 00 0102 047fffffff 00 00 0000000000 00 00 00 00 01 00 00 00 00 00"
        "00 00 00 0000000000 0000 1b" + b"select 1 a, 'x' b from dual".hex() + "0101 00 00 00 00 00 00 0101"
        "00 028000 00 00 00"
    )
    request = read_execute(reader, PYTHON)
    assert request.statement == "select 1 a, 'x' b from dual"
    assert (request.prefetch, request.rows_wanted, request.binds, request.defines) == (2, 2, 0, 0)
    assert reader.available == 0


def test_the_data_types_message_of_the_go_family() -> None:
    """A national character set stands in front of the type table; type 27 tells the width of scales."""
    terms = Terms()
    compiled = bytearray(45)
    compiled[7], compiled[27] = 11, 1
    message = "6903 6903 02 2d" + compiled.hex() + "07 02000000000000" + "d007"
    table = "0001 0001 0001 0000" + "001b 001b 0001 0000" + "003a 0000" + "0000"
    answer = data_types_answer(recorded(message + table), Dialect(), terms)
    assert answer == b"\x02\0\0"
    assert (terms.field_version, terms.wide_scale, terms.inner_lengths) == (11, True, True)
