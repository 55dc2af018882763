"""Driver errors by number; a wrong class means data lost, an account locked or endless retries."""

from __future__ import annotations

import oracledb
import pytest

from cdc.errors import (
    CcbridgeError,
    DatabaseUnreachable,
    LoginRefused,
    NotGranted,
    OperatorError,
    RedoLogTrouble,
    RowError,
    ServerFault,
    ServerMemory,
    SessionLost,
    SnapshotTooOld,
    TransientError,
)
from cdc.oracle.errors import translated


class Fault:
    """What the driver puts into its exceptions."""

    def __init__(self, code: int, text: str, full_code: str) -> None:
        self.code, self.full_code, self._text = code, full_code, text
        self.isrecoverable = True

    def __str__(self) -> str:
        return self._text


def error(code: int, text: str = "", full_code: str = "") -> CcbridgeError:
    fault = Fault(code, text or f"ORA-{code:05d}: text", full_code or f"ORA-{code:05d}")
    return translated(oracledb.DatabaseError(fault), "ccb")


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (
            (
                *(28, 1012, 1033, 1034, 1041, 1089, 1090, 1092, 2396, 3113, 3114, 3135, 12170, 12505, 12514),
                *(12528, 12537, 12541, 12543, 12547, 12570, 12571, 12583, 18, 20, 257, 1109, 12516, 12519),
            ),
            DatabaseUnreachable,
        ),
        ((1013, 1001, 1002, 1306, 1307), SessionLost),
        ((600, 1281, 1282), ServerFault),
        ((4030, 4036), ServerMemory),
        ((1284, 1289, 1291, 1292, 308, 334, 27037, 310, 1368, 353, 368, 1343), RedoLogTrouble),
        ((1555, 1466, 8103, 22924, 8181), SnapshotTooOld),
        ((1327, 1333, 1371, 26653, 25303), TransientError),
        ((1017, 28000, 28001), LoginRefused),
        ((942, 1031), NotGranted),
        ((900, 904, 1325, 1347, 1354, 3049, 65040), OperatorError),
        ((1, 1400, 12899), RowError),
    ],
)
def test_numbers_have_their_class(codes: tuple[int, ...], kind: type[CcbridgeError]) -> None:
    """Each number of the table leads to what happens next."""
    assert [type(error(code)) for code in codes] == [kind] * len(codes)


def test_passwords_are_never_retried() -> None:
    """A refused or expired password is for a person: a retry can lock the account."""
    assert not any(isinstance(error(code), TransientError) for code in (1017, 28000, 28001))


def test_internal_error_is_no_network_fault() -> None:
    """The driver calls ORA-00600 a closed connection; its number says what it is."""
    text = "DPY-4011: closed the connection\nORA-00600: internal error code, arguments: [x]"
    found = error(600, text, "DPY-4011")
    assert isinstance(found, ServerFault)
    assert str(found) == "ccb: ORA-00600: internal error code, arguments: [x]"
    race = "ORA-00600: internal error code, arguments: [krvrdGetUID], [18446744073709551614]"
    assert type(error(600, race)) is TransientError


def test_wrapper_is_classified_by_the_error_below() -> None:
    """ORA-00604 only says that something else failed."""
    text = "ORA-00604: error occurred at recursive SQL level 1\nORA-01031: insufficient privileges"
    assert isinstance(error(604, text), NotGranted)
    assert type(error(604, "ORA-00604: error occurred at recursive SQL level 1")) is TransientError


@pytest.mark.parametrize(
    ("full_code", "kind"),
    [("DPY-6000", DatabaseUnreachable), ("DPY-6001", DatabaseUnreachable), ("DPY-6005", DatabaseUnreachable),
     ("DPY-4011", DatabaseUnreachable), ("DPY-4024", SessionLost), ("DPY-3001", OperatorError),
     ("DPY-3010", OperatorError), ("DPY-3015", OperatorError), ("DPY-4000", OperatorError),
     ("DPY-4027", OperatorError)],
)  # fmt: skip
def test_driver_codes(full_code: str, kind: type[CcbridgeError]) -> None:
    """Errors without an ORA number are told by the driver's own code."""
    found = error(0, f"{full_code}: text", full_code)
    assert type(found) is kind
    assert found.hint or isinstance(found, TransientError)


def test_row_errors_hide_values() -> None:
    """The text of a refused value may hold personal data."""
    found = error(12899, 'ORA-12899: value too large for column "X" (actual: 300): Maria')
    assert "Maria" not in str(found)
