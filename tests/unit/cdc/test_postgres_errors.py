"""PostgreSQL's errors by SQLSTATE, and driver errors that reach a flow: what happens next, for each."""

from __future__ import annotations

import string
import threading

import oracledb
import psycopg
import pytest

from cdc.errors import (
    CcbridgeError,
    ConnectionMisconfigured,
    DatabaseUnreachable,
    LoginRefused,
    OperatorError,
    RowError,
    TransientError,
)
from cdc.flows.progress.state import FlowState
from cdc.flows.supervision import Flow
from cdc.postgres.errors import kind_of, translated
from cdc.postgres.login_errors import CAUSES, GENERAL

STATES = sorted(
    {
        state
        for one in vars(psycopg.errors).values()
        if isinstance(one, type) and issubclass(one, psycopg.Error) and (state := one.sqlstate)
    }
)
CLASSES = [
    one + other for one in string.digits + string.ascii_uppercase for other in string.digits + "FHPVWXZ"
]
"""Those of the standard, of PostgreSQL, and what a trigger may choose for itself."""

ROW, RETRY, PERSON = RowError, TransientError, OperatorError
BY_CLASS = {"08": RETRY, "22": ROW, "23": ROW, "40": RETRY, "53": RETRY, "58": RETRY, "P0": ROW}
BY_STATE = {
    "40002": ROW,
    **dict.fromkeys(["25006", "25P03", "25P04", "3D000", "55000", "55006", "55P03"], RETRY),
    **dict.fromkeys(["57014", "57P01", "57P02", "57P03", "57P04", "57P05"], RETRY),
}
"""The rule a second time, as it can be read in ten lines; whatever is not named is for an operator."""


def test_every_state_is_a_row_a_retry_or_an_operator_by_the_rule() -> None:
    """Known to the driver or not: no state is left without an answer."""
    states = [*STATES, *(first + "ZZ9" for first in CLASSES)]
    assert len(states) > 500
    wrong = [
        state
        for state in states
        if not issubclass(kind_of(state), BY_STATE.get(state) or BY_CLASS.get(state[:2], PERSON))
    ]
    assert wrong == []


def outcome(error: BaseException) -> tuple[Flow, FlowState]:
    """A flow whose work raises this, tried once."""
    stop = threading.Event()
    state = FlowState()

    def work(_flow: Flow) -> None:
        stop.set()
        raise error

    flow = Flow("deliver:prepaid", work, stop, state)
    flow._run()
    return flow, state


def driver_errors() -> list[BaseException]:
    """Of each SQLSTATE, lost connections, of each of Oracle's driver's kinds, and of the system."""
    found: list[BaseException] = [psycopg.errors.lookup(state)("canary") for state in STATES]
    found += [
        psycopg.OperationalError("consuming input failed"),
        psycopg.InterfaceError("the connection is closed"),
    ]
    kinds = (oracledb.DatabaseError, oracledb.InterfaceError, oracledb.OperationalError, oracledb.DataError)
    found += [kind("DPY-4011: closed") for kind in kinds]
    return [*found, OSError(28, "No space left on device", "/spill"), ConnectionResetError(104, "reset")]


def test_no_error_of_a_driver_ends_more_than_its_flow() -> None:
    """Whatever place of a flow forgot to translate it."""
    for error in driver_errors():
        flow, state = outcome(error)
        assert flow.crash is None, error
        (figures,) = state.all()
        assert figures.status in ("stopped", "failed"), error
        assert figures.error_code is not None, error


def test_a_failure_of_our_own_is_reported_as_one() -> None:
    """Lest the net catches what no one expected."""
    flow, _ = outcome(ValueError("canary"))
    assert isinstance(flow.crash, ValueError)


LIBPQ = {
    "TLS is off": (
        "failed: server does not support SSL, but SSL was required",
        ConnectionMisconfigured,
        "ssl = on",
    ),
    "another host's certificate": (
        'failed: server certificate for "x" does not match host name "db"',
        ConnectionMisconfigured,
        "set host to a name",
    ),
    "another CA": ("failed: SSL error: certificate verify failed", ConnectionMisconfigured, "sslrootcert"),
    "no CA": (
        'root certificate file "/c/root.crt" does not exist',
        ConnectionMisconfigured,
        "sslrootcert",
    ),
    "no such database": (
        'failed: FATAL:  database "nope" does not exist',
        ConnectionMisconfigured,
        "set database",
    ),
    "a pooler": ("failed: FATAL:  unsupported startup parameter: options", ConnectionMisconfigured, "pooler"),
    "wrong password": (
        'failed: FATAL:  password authentication failed for user "u"',
        LoginRefused,
        "password",
    ),
    "no password": ("failed: fe_sendauth: no password supplied", LoginRefused, "CCBRIDGE_STAGING__PASSWORD"),
    "no line in pg_hba.conf": (
        'failed: FATAL:  no pg_hba.conf entry for host "1.2.3.4"',
        LoginRefused,
        "pg_hba.conf",
    ),
    "no such role": ('failed: FATAL:  role "absent" does not exist', LoginRefused, "correct user"),
    "asked in clear": (
        'authentication method requirement "!password,!md5" failed: server requested a cleartext password',
        LoginRefused,
        "scram-sha-256",
    ),
    "no such host": (
        'could not translate host name "x" to address: Name or service not known',
        DatabaseUnreachable,
        "host name",
    ),
    "nothing listens": (
        "failed: Connection refused\n\tIs the server running on that host",
        DatabaseUnreachable,
        "start the server",
    ),
    "silence": ("failed: timeout expired", DatabaseUnreachable, "firewalls"),
    "full": ("failed: FATAL:  sorry, too many clients already", DatabaseUnreachable, "max_connections"),
}


@pytest.mark.parametrize("case", LIBPQ)
def test_a_connection_that_is_not_made_has_its_cause_in_the_hint(case: str) -> None:
    """Libpq gives no SQLSTATE; an operator needs the setting, not a guess."""
    text, kind, hint = LIBPQ[case]
    found = translated(psycopg.OperationalError(text), "staging")
    assert type(found) is kind
    assert hint in found.hint


LOST_IN_USE = [
    f"{call} failed: {said}"
    for call in (
        "consuming input",
        "flushing",
        "sending query",
        "sending query and params",
        "sending prepared query",
        "sending copy data",
        "sending copy end",
        "receiving copy data",
        "executing query",
        "preparing query",
        "sending describe prepared",
        "describe portal",
        "sending close prepared",
        "close portal",
    )
    for said in (
        "SSL error: unexpected eof while reading",
        "SSL SYSCALL error: EOF detected",
        "SSL SYSCALL error: Connection reset by peer",
        "SSL connection has been closed unexpectedly",
        "server closed the connection unexpectedly",
        "could not receive data from server: Connection timed out",
    )
]


@pytest.mark.parametrize("text", LOST_IN_USE)
def test_a_session_that_is_lost_is_not_a_wrong_setting(text: str) -> None:
    """It is opened again at once; what a wrong setting stops is looked at once a minute."""
    found = translated(psycopg.OperationalError(text), "staging")
    assert type(found) is DatabaseUnreachable
    assert "connection was lost" in found.hint


@pytest.mark.parametrize(
    "said", ["SSL error: unexpected eof while reading", "SSL SYSCALL error: Connection reset by peer"]
)
def test_a_connection_closed_while_tls_is_agreed_on_is_tried_again_soon(said: str) -> None:
    """By a server that goes down, or what is in between."""
    text = f'connection failed: connection to server at "127.0.0.1", port 5432 failed: {said}'
    assert type(translated(psycopg.OperationalError(text), "staging")) is DatabaseUnreachable


def test_every_cause_says_what_to_do() -> None:
    """In the imperative, whatever libpq's text was."""
    verbs = ("set", "check", "create", "add", "raise", "renew", "start")
    assert [
        cause.words for cause in (*CAUSES, GENERAL) if not any(verb in cause.hint.split() for verb in verbs)
    ] == []
    assert translated(psycopg.OperationalError("nothing known"), "s").hint


def test_what_a_wrong_setting_stops_is_reported_at_once_and_looked_at_again() -> None:
    """No one has to start ccbridge again once TLS is on."""
    assert ConnectionMisconfigured.tries == 1
    assert issubclass(ConnectionMisconfigured, TransientError)
    assert issubclass(ConnectionMisconfigured, CcbridgeError)
