"""Kinds and placeholders of statements, binds cut by packets, the password handshake."""

from __future__ import annotations

import hashlib
import secrets

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sandbox.oracle.engine.state.users import make_verifier
from sandbox.oracle.interface import Column, DbType
from sandbox.oracle.net.answers import describe_message, parameters, row_header, rowid_fields
from sandbox.oracle.net.binds import WireBind, read_rows
from sandbox.oracle.net.lob import LobStore
from sandbox.oracle.net.opening.auth import Logon, unknown_user
from sandbox.oracle.net.sqltext import Kind, kind, placeholders
from sandbox.oracle.net.terms import Terms
from sandbox.oracle.net.wire import Reader, text

NO_LOBS = LobStore()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("select 1 from dual", Kind.QUERY),
        (" /* a */ -- b\n ( Select 1 from dual)", Kind.QUERY),
        ("with x as (select 1 from dual) select * from x", Kind.QUERY),
        ("MERGE into t using u on (1 = 1)", Kind.DML),
        ("begin null; end;", Kind.PLSQL),
        ("call p(:1)", Kind.PLSQL),
        ("alter session set nls_date_format = 'x'", Kind.OTHER),
        ("", Kind.OTHER),
    ],
)
def test_the_kind_of_a_statement(statement: str, expected: Kind) -> None:
    """The first word behind comments and brackets decides."""
    assert kind(statement) is expected


def names(statement: str) -> list[str]:
    return [place.name for place in placeholders(statement)]


def test_sql_binds_each_occurrence_and_plsql_each_name() -> None:
    """The order of values on the wire depends on it."""
    assert names("select :a, :b, :A from dual") == ["A", "B", "A"]
    assert names("begin p(:a, :b, :A); :c := 1; end;") == ["A", "B", "C"]


@pytest.mark.parametrize(
    "statement",
    [
        "select ':x' from dual where y = :y",
        "select 'it''s :x' from dual where y = :y",
        "select q'[it's :x]', q'!:x!', nq'{:x}' from dual where y = :y",
        'select "a:x" from dual where y = :y',
        "select 1 -- :x\n from dual where y = :y",
        "select 1 /* :x\n :z */ from dual where y = :y",
        "select json_object('a':b) from dual where y = :y",
        "begin x := 1; :y := x; end;",
    ],
)
def test_colons_that_are_no_placeholders(statement: str) -> None:
    """Literals, quoted names, comments, JSON and assignments hold none."""
    assert names(statement) == ["Y"]


def test_placeholders_behind_returning_into_have_no_value() -> None:
    """The `into` of an insert does not count."""
    places = placeholders("insert into t values (:1, :2) returning a, b into :3, :4")
    assert [place.returning for place in places] == [False, False, True, True]
    assert not any(place.returning for place in placeholders("insert into t values (:1, :2)"))


@pytest.mark.parametrize("piece", [1, 2, 5, 13, 1000])
def test_rows_of_binds_survive_any_cut(piece: int) -> None:
    """A row cut by a packet is read again, long values and NULLs included."""
    rows = [[b"k%d" % number, None if number % 3 else b"v" * (number * 40 + 1), b"e"] for number in range(30)]
    data = b"".join(b"\x07" + b"".join(text(cell) for cell in row) for row in rows)
    pieces = iter([data[start : start + piece] for start in range(0, len(data), piece)])
    binds = [WireBind(DbType.VARCHAR2, 4000)] * 3
    found = read_rows(
        Reader(lambda: next(pieces)), binds, 30, returning=[False] * 3, long_last=32767, lobs=NO_LOBS
    )
    assert found == rows


def test_long_binds_are_put_back_in_their_place() -> None:
    """They travel behind the others; returning binds do not travel at all."""
    binds = [WireBind(DbType.LONG, 40000), WireBind(DbType.NUMBER, 22), WireBind(DbType.NUMBER, 22)]
    data = b"\x07" + text(b"\xc1\x02") + text(b"long")
    options = {"returning": [False, False, True], "lobs": NO_LOBS}
    assert read_rows(Reader(bytes, data), binds, 1, long_last=32767, **options) == [  # type: ignore[arg-type]
        [b"long", b"\xc1\x02", None]
    ]


def test_a_description_is_byte_for_byte_as_recorded() -> None:
    """Two columns, Oracle 19c layout."""
    columns = [Column("A", DbType.NUMBER, scale=-127), Column("B", DbType.VARCHAR2, 4, 1)]
    recorded = (
        "100100011a01020102800081011600000000000000000101010101410000010100"
        "01800000010400000000020369010101000101010101420000010200"
    )
    assert describe_message(columns, Terms()).hex().startswith(recorded)
    assert parameters(3).hex() == "08010600000103000000000000"
    assert row_header(2, 1).hex() == "0622010200010100" + "0000"
    assert row_header(300, 1).hex().startswith("0622012c0101")
    assert rowid_fields("AAASnBAAEAAAAIbAAA").hex() == "030129c1010400" + "02021b00"


def test_login_needs_the_right_password() -> None:
    """Both sides prove that they know it; neither sends it."""
    assert _login("tiger", "tiger") == (True, b"SERVER_TO_CLIENT")
    assert _login("tiger", "Tiger")[0] is False
    assert _login("tiger", "")[0] is False


def test_an_unknown_user_gets_the_same_challenge_each_time() -> None:
    """Names cannot be probed by their salt."""
    assert unknown_user("NOBODY") == unknown_user("NOBODY")
    assert unknown_user("NOBODY") != unknown_user("SOMEBODY")


def test_a_garbled_login_is_refused_without_an_error() -> None:
    """Missing, short or odd values."""
    logon = Logon("SCOTT", make_verifier("tiger"))
    for pairs in ({}, {"AUTH_SESSKEY": "zz"}, {"AUTH_SESSKEY": "00" * 32, "AUTH_PASSWORD": "00"}):
        assert logon.prove(pairs) is False


def _login(stored: str, given: str) -> tuple[bool, bytes]:
    """The client's side of the handshake."""
    logon = Logon("SCOTT", make_verifier(stored))
    told = {key: value for key, value, _ in logon.challenge()}
    salt = bytes.fromhex(told["AUTH_VFR_DATA"])
    rounds = int(told["AUTH_PBKDF2_VGEN_COUNT"])
    speedy = hashlib.pbkdf2_hmac("sha512", given.encode(), salt + b"AUTH_PBKDF2_SPEEDY_KEY", rounds, 64)
    verifier = hashlib.sha512(speedy + salt).digest()[:32]
    server_half = _aes(verifier, bytes.fromhex(told["AUTH_SESSKEY"]), seal=False)
    half = secrets.token_bytes(32)
    combined = (half + server_half).hex().upper().encode()
    rounds = int(told["AUTH_PBKDF2_SDER_COUNT"])
    key = hashlib.pbkdf2_hmac("sha512", combined, bytes.fromhex(told["AUTH_PBKDF2_CSK_SALT"]), rounds, 32)
    plain = secrets.token_bytes(16) + given.encode()
    padding = 16 - len(plain) % 16
    proof = {
        "AUTH_SESSKEY": _aes(verifier, half, seal=True).hex().upper(),
        "AUTH_PASSWORD": _aes(key, plain + bytes((padding,)) * padding, seal=True).hex().upper(),
    }
    proven = logon.prove(proof)
    return proven, _aes(key, bytes.fromhex(logon.response()), seal=False)[16:32]


def _aes(key: bytes, data: bytes, *, seal: bool) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.CBC(bytes(16)))
    worker = cipher.encryptor() if seal else cipher.decryptor()
    return worker.update(data) + worker.finalize()
