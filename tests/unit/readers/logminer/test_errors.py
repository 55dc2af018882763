"""Driver errors by number; a wrong class means data lost, an account locked or endless retries."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Callable
from typing import Any

import oracledb
import pytest
from oracledb import errors as driver

from cdc.errors import (
    CcbridgeError,
    DatabaseUnreachable,
    LoginRefused,
    NotGranted,
    OperatorError,
    RedoLogFailure,
    RowError,
    ServerFailure,
    ServerMemory,
    SessionLost,
    SnapshotTooOld,
    TransientError,
    UnclassifiedError,
)
from cdc.oracle.errors import oracle_errors, translated


class Failure:
    """What the driver puts into its exceptions."""

    def __init__(self, code: int, text: str, full_code: str) -> None:
        self.code, self.full_code, self._text = code, full_code, text
        self.isrecoverable = True

    def __str__(self) -> str:
        return self._text


def error(code: int, text: str = "", full_code: str = "") -> CcbridgeError:
    failure = Failure(code, text or f"ORA-{code:05d}: text", full_code or f"ORA-{code:05d}")
    return translated(oracledb.DatabaseError(failure), "ccb")


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (
            (
                *(28, 1012, 1033, 1034, 1041, 1089, 1090, 1092, 2396, 3113, 3114, 3135, 12170, 12505, 12514),
                *(
                    2399,
                    12528,
                    12537,
                    12541,
                    12543,
                    12547,
                    12570,
                    12571,
                    12583,
                    18,
                    20,
                    257,
                    1109,
                    12516,
                    12519,
                ),
            ),
            DatabaseUnreachable,
        ),
        ((1013, 1001, 1002, 1306, 1307), SessionLost),
        ((2391, 2392, 2394, 2397, 16014, 16038, 19809, 29740), DatabaseUnreachable),
        ((40, 1000, 2393, 2395, 4061, 4065, 4068, 56720, 56735), SessionLost),
        ((235, 1591, 1628, 2049, 8177, 12805, 12829, 12850, 12853, 30036), TransientError),
        ((313, 322, 340, 341, 342, 27041, 27048, 27072), RedoLogFailure),
        ((600, 1280, 1281, 1282), ServerFailure),
        ((4030, 4031, 4036), ServerMemory),
        ((1284, 1289, 1291, 1292, 308, 334, 27037, 310, 1368, 353, 368, 1343), RedoLogFailure),
        ((1555, 1466, 8103, 22924, 8181), SnapshotTooOld),
        ((1327, 1333, 1371, 26653, 25303), TransientError),
        ((1017, 28000, 28001), LoginRefused),
        ((942, 1031), NotGranted),
        ((900, 904, 1325, 1347, 1354, 3049, 65040), OperatorError),
        ((1, 1400, 1401, 1461, 4088, 12899, 20000, 20500, 20999), RowError),
    ],
)
def test_numbers_have_their_class(codes: tuple[int, ...], kind: type[CcbridgeError]) -> None:
    """Each number of the table leads to what happens next."""
    assert [type(error(code)) for code in codes] == [kind] * len(codes)


def test_passwords_are_never_retried() -> None:
    """A refused or expired password is for an operator: a retry can lock the account."""
    assert not any(isinstance(error(code), TransientError) for code in (1017, 28000, 28001))


def test_internal_error_is_not_a_network_failure() -> None:
    """The driver calls ORA-00600 a closed connection; its number says what it is."""
    text = "DPY-4011: closed the connection\nORA-00600: internal error code, arguments: [x]"
    found = error(600, text, "DPY-4011")
    assert isinstance(found, ServerFailure)
    assert str(found) == "ccb: ORA-00600: internal error code, arguments: [x]"
    race = "ORA-00600: internal error code, arguments: [krvrdGetUID], [18446744073709551614]"
    assert type(error(600, race)) is TransientError


WRAPPED = {
    "ORA-00604: error occurred at recursive SQL level 1\n{}": 604,
    "ORA-12801: error signaled in parallel query server P001\n{}": 12801,
    "ORA-04088: error during execution of trigger 'S.T'\n{}": 4088,
    "{}\nORA-06512: at \"S.TRG\", line 3\nORA-04088: error during execution of trigger 'S.T'": 0,
    "ORA-02091: transaction rolled back\n{}": 2091,
    "ORA-06512: at line 1\n{}": 6512,
    "ORA-06550: line 7, column 66:\nPL/SQL: {}\nORA-06550: line 7, column 5:\nPL/SQL: ignored": 6550,
    "ORA-29913: error in executing callout\nORA-29400: data cartridge error\n{}": 29913,
    "ORA-12801: error signaled in parallel query server\nORA-00604: error at level 1\n{}": 12801,
}


@pytest.mark.parametrize("wrapper", WRAPPED)
@pytest.mark.parametrize("below", [1, 54, 600, 942, 1017, 1291, 1555, 2291, 3113, 4031, 16000, 20001])
def test_a_wrapped_error_is_judged_by_what_is_in_the_wrapper(wrapper: str, below: int) -> None:
    """A stack begins or ends with lines that only say where it was."""
    text = wrapper.format(f"ORA-{below:05d}: what it is")
    found, alone = error(WRAPPED[wrapper] or below, text), error(below)
    assert (type(found), found.hint) == (type(alone), alone.hint)
    assert f"ORA-{below:05d}" in str(found)


def test_wrapper_is_classified_by_the_error_below() -> None:
    """ORA-00604 only says that something else failed; alone it may pass."""
    text = "ORA-00604: error occurred at recursive SQL level 1\nORA-01031: insufficient privileges"
    assert isinstance(error(604, text), NotGranted)
    assert type(error(604, "ORA-00604: error occurred at recursive SQL level 1")) is TransientError


@pytest.mark.parametrize(
    ("full_code", "kind"),
    [
        ("DPY-6000", DatabaseUnreachable),
        ("DPY-6001", DatabaseUnreachable),
        ("DPY-6005", DatabaseUnreachable),
        ("DPY-4011", DatabaseUnreachable),
        ("DPY-4024", SessionLost),
        ("DPY-3001", OperatorError),
        ("DPY-3010", OperatorError),
        ("DPY-3015", OperatorError),
        ("DPY-4000", OperatorError),
        ("DPY-4027", OperatorError),
    ],
)
def test_driver_codes(full_code: str, kind: type[CcbridgeError]) -> None:
    """Errors without an ORA number are reported by the driver's own code."""
    found = error(0, f"{full_code}: text", full_code)
    assert type(found) is kind
    assert found.hint or isinstance(found, TransientError)


@pytest.mark.parametrize(
    ("below", "hint"),
    [
        ("[Errno 111] Connection refused", "start the listener"),
        ('DPY-6001: Service "CBC" is not registered with the listener', "does not know the service"),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch",
            "another host or CA",
        ),
        ("The distinguished name on the server certificate does not match", "name that is in the server"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "TCPS"),
        ("[Errno -2] Name or service not known", "host name"),
        ("timed out", "firewalls"),
        ("something else", "check host and port"),
    ],
)
def test_a_connection_that_is_not_made_has_its_cause_in_text_and_hint(below: str, hint: str) -> None:
    """DPY-6005 is the driver's word for all of them; the line below says why."""
    found = error(0, f"DPY-6005: cannot connect to database (CONNECTION_ID=x).\n{below}", "DPY-6005")
    assert type(found) is DatabaseUnreachable
    assert below in str(found)
    assert hint in found.hint


def test_row_errors_hide_values() -> None:
    """The text of a refused value may hold personal data."""
    found = error(12899, 'ORA-12899: value too large for column "X" (actual: 300): Maria')
    assert "Maria" not in str(found)


KNOWN = sorted(
    {
        *driver.ERR_ORACLE_ERROR_XREF,
        *driver.ERR_RECOVERABLE_ERROR_CODES,
        *driver.ERR_INTEGRITY_ERROR_CODES,
        *driver.ERR_OPERATIONAL_ERROR_CODES,
        *driver.ERR_INTERFACE_ERROR_CODES,
        *(22, 31, 45, 378, 602, 603, 609, 1043, 3122, 16456, 27146, 28511, 56600),
    }
)
"""Every ORA number the driver says something about."""


def of_driver(message: str, code: int = 0) -> tuple[oracledb.Error, Any]:
    """The exception as the driver itself makes it, and what is in it."""
    inside = driver._Error(message, code=code)
    return inside.exc_type(inside), inside


@pytest.mark.parametrize("code", KNOWN)
def test_every_number_the_driver_knows_is_a_row_a_retry_or_an_operator(code: int) -> None:
    """A session that is dead, or an error it takes for passing, is never for an operator at once."""
    exc, inside = of_driver(f"ORA-{code:05d}: text", code)
    found = translated(exc, "ccb")
    assert isinstance(found, RowError | TransientError | OperatorError)
    if inside.is_session_dead or inside.isrecoverable:
        assert isinstance(found, TransientError)
    assert "ccb" in str(found)


@pytest.mark.parametrize("number", sorted(driver.ERR_MESSAGE_FORMATS))
def test_every_error_of_the_driver_itself_is_a_row_a_retry_or_an_operator(number: int) -> None:
    """The driver's own table of messages, whatever release is installed."""
    exc, inside = of_driver(f"DPY-{number:04d}: text")
    found = translated(exc, "ccb")
    assert isinstance(found, RowError | TransientError | OperatorError)
    if inside.is_session_dead or number // 1000 == 5:
        assert isinstance(found, TransientError)


def test_errors_without_a_class_are_reported_once_they_last() -> None:
    """What the driver takes for passing is tried again; whether it passes no one knows."""
    for code in (22, 31, 45, 378, 602, 603, 609, 1043, 3122, 16456, 27146, 28511, 56600):
        found = translated(of_driver(f"ORA-{code:05d}: text", code)[0], "ccb")
        assert isinstance(found, UnclassifiedError)
        assert found.tries


def test_no_number_of_the_network_is_for_an_operator() -> None:
    """Oracle Net and fail-over have hundreds; those of its security services are of a configuration."""
    network = (*range(3106, 3200), *range(12150, 12630), *range(25400, 25427))
    found = [translated(of_driver(f"ORA-{code:05d}: text", code)[0], "ccb") for code in network]
    assert all(isinstance(one, TransientError) for one in found)
    for code in (12638, 12650, 12660):
        assert type(translated(of_driver(f"ORA-{code:05d}: text", code)[0], "ccb")) is OperatorError


@pytest.mark.parametrize("code", [1536, 1552, 1950, 16000])
def test_what_a_dba_has_to_change_has_a_hint(code: int) -> None:
    """No quota, no undo, a read-only database: the number alone helps no one."""
    found = error(code)
    assert type(found) is OperatorError
    assert found.hint


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "invalid"), UnclassifiedError),
        (ValueError("year -4712 is out of range"), UnclassifiedError),
        (OverflowError("date value out of range"), UnclassifiedError),
        (struct.error("unpack requires a buffer of 4 bytes"), UnclassifiedError),
        (IndexError("index out of range"), UnclassifiedError),
        (AttributeError("'NoneType' object has no attribute 'write'"), UnclassifiedError),
        (OSError("bad file descriptor"), DatabaseUnreachable),
        (TimeoutError("timed out"), DatabaseUnreachable),
        (ssl.SSLError("record layer failure"), DatabaseUnreachable),
    ],
)
def test_what_python_raises_in_the_driver_does_not_get_out(
    raised: Exception, kind: type[CcbridgeError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reported from our own errors by where it was raised; its text, which may hold a value, is not shown."""
    monkeypatch.setattr(oracledb.ConnectParams, "set", raises_inside_of_the_driver(raised))
    with pytest.raises(kind) as caught, oracle_errors("ccb"):
        oracledb.ConnectParams().set()
    assert str(raised) not in str(caught.value)
    with pytest.raises(type(raised)), oracle_errors("ccb"):
        raise raised.with_traceback(None)


def raises_inside_of_the_driver(raised: Exception) -> Callable[..., None]:
    """A function whose frame belongs to the driver."""
    scope: dict[str, Any] = {"__name__": "oracledb.test", "raised": raised}
    exec("def fails(*_):\n    raise raised", scope)  # noqa: S102 - a frame of another module
    made: Callable[..., None] = scope["fails"]
    return made
