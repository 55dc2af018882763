"""The procedures of supplied packages that a session may call, and their constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sandbox.oracle import cells
from sandbox.oracle.engine.functions.conversions import number_of_text
from sandbox.oracle.engine.logminer import mining
from sandbox.oracle.engine.state import containers
from sandbox.oracle.engine.state.context import Session
from sandbox.oracle.engine.state.mining_run import OPTIONS
from sandbox.oracle.engine.store.tables import Table
from sandbox.oracle.interface import Cell, OracleFault

CONSTANTS: dict[tuple[str, str], int] = {
    **{("DBMS_LOGMNR", name): value for name, value in OPTIONS.items()},
    **{("DBMS_LOGMNR", name): value for name, value in mining.FILE_OPTIONS.items()},
    ("DBMS_METADATA", "SESSION_TRANSFORM"): -1,
}


class Arguments:
    """Arguments of a call by upper-case name."""

    def __init__(self, given: dict[str, Cell]) -> None:
        self._given = given

    def has(self, name: str) -> bool:
        """Was an argument given?"""
        return self._given.get(name) is not None

    def text(self, name: str) -> str:
        """A text argument, '' when absent."""
        return (self._given.get(name) or b"").decode()

    def number(self, name: str, default: int = 0) -> int:
        """A number; Oracle also takes it as text."""
        cell = self._number(name)
        return default if cell is None else cells.decode_integer(cell)

    def seconds(self, name: str) -> float:
        """A number of seconds with its fraction, 0 when absent."""
        cell = self._number(name)
        return 0.0 if cell is None else float(cells.decode_number(cell))

    def _number(self, name: str) -> Cell:
        cell = self._given.get(name)
        if cell is not None and (cell[:1].isdigit() or cell[:1] in (b"-", b" ", b".")):
            cell = number_of_text(cell)
        return cell


@dataclass(frozen=True)
class Procedure:
    """A procedure with its parameters in order."""

    parameters: tuple[str, ...]
    action: Callable[[Session, Arguments], None]


def _may_execute(session: Session) -> None:
    """EXECUTE on the package: without, the block does not compile."""
    users = session.users
    execute = users.may(session.user, "EXECUTE", ("SYS", "DBMS_LOGMNR")) or users.has(
        session.user, "EXECUTE CATALOG"
    )
    if not execute:
        raise OracleFault(6550, "line 1, column 7:\nPLS-00201: identifier 'DBMS_LOGMNR' must be declared")


def _add_logfile(session: Session, arguments: Arguments) -> None:
    _may_execute(session)
    containers.require_root(session)
    option = arguments.number("OPTIONS", mining.FILE_OPTIONS["ADDFILE"])
    session.mining_files = mining.add_log(
        session.database, session.mining_files, arguments.text("LOGFILENAME"), option
    )


def _remove_logfile(session: Session, arguments: Arguments) -> None:
    _may_execute(session)
    containers.require_root(session)
    name = arguments.text("LOGFILENAME")
    session.mining_files = [each for each in session.mining_files if each.name != name]


def _start_logmnr(session: Session, arguments: Arguments) -> None:
    _may_execute(session)
    mining.require_logmining(session)
    inside = session.database.containers.root not in (None, session.container)
    if inside and not session.database.mines_in_pdb:
        containers.require_root(session)
    if inside and not session.users.get(session.user).goldengate:
        raise OracleFault(1031, "insufficient privileges")
    if arguments.text("STARTTIME") or arguments.text("ENDTIME"):
        raise OracleFault(1330, "mining by time is not simulated: give STARTSCN and ENDSCN")
    if not session.container.is_writable:
        raise OracleFault(1300, "writable database required for specified LogMiner options")
    start, end = arguments.number("STARTSCN"), arguments.number("ENDSCN")
    if inside:  # the logs are found by SCN, and no other container's rows are shown
        session.mining_files = mining.logs_between(session.database, start, end)
    session.mining = mining.start(
        session.database,
        session.mining_files,
        start,
        end,
        arguments.number("OPTIONS"),
        container=session.container.number if inside else None,
    )


def _end_logmnr(session: Session, arguments: Arguments) -> None:
    if session.mining is None:
        raise OracleFault(1307, "no LogMiner session is currently active")
    session.mining = None
    session.mining_files = []


def _grant_admin(session: Session, arguments: Arguments) -> None:
    """What the procedure grants is more; LogMiner inside a pluggable database asks for it."""
    session.users.require(session.user, "GRANT ANY PRIVILEGE")
    user = session.users.get(arguments.text("GRANTEE").strip('"').upper())
    user.goldengate = True
    user.system.add("LOGMINING")


def _revoke_admin(session: Session, arguments: Arguments) -> None:
    session.users.require(session.user, "GRANT ANY PRIVILEGE")
    session.users.get(arguments.text("GRANTEE").strip('"').upper()).goldengate = False


def _policed(session: Session, arguments: Arguments) -> Table:
    session.users.require(session.user, "ALTER ANY TABLE")
    table = session.catalog.resolve(
        arguments.text("OBJECT_SCHEMA").upper(), arguments.text("OBJECT_NAME").upper(), session.schema
    )
    if not isinstance(table, Table):
        raise OracleFault(942, "table or view does not exist")
    session.catalog.changed()
    return table


def _add_policy(session: Session, arguments: Arguments) -> None:
    """A policy of DBMS_RLS hides all rows; its function is not run."""
    _policed(session, arguments).policies.append(arguments.text("POLICY_NAME").upper())


def _drop_policy(session: Session, arguments: Arguments) -> None:
    _policed(session, arguments).policies.remove(arguments.text("POLICY_NAME").upper())


def _add_redaction(session: Session, arguments: Arguments) -> None:
    """A policy of DBMS_REDACT is listed; values are not masked."""
    table = _policed(session, arguments)
    table.redacted[arguments.text("POLICY_NAME").upper()] = arguments.text("COLUMN_NAME").upper()


def _drop_redaction(session: Session, arguments: Arguments) -> None:
    del _policed(session, arguments).redacted[arguments.text("POLICY_NAME").upper()]


def _set_identifier(session: Session, arguments: Arguments) -> None:
    session.client = replace(session.client, identifier=arguments.text("CLIENT_ID"))


def _clear_identifier(session: Session, arguments: Arguments) -> None:
    session.client = replace(session.client, identifier="")


def _set_module(session: Session, arguments: Arguments) -> None:
    session.client = replace(
        session.client, module=arguments.text("MODULE_NAME"), action=arguments.text("ACTION_NAME")
    )


def _set_action(session: Session, arguments: Arguments) -> None:
    session.client = replace(session.client, action=arguments.text("ACTION_NAME"))


def _set_client_info(session: Session, arguments: Arguments) -> None:
    session.client = replace(session.client, info=arguments.text("CLIENT_INFO"))


def _nothing(session: Session, arguments: Arguments) -> None:
    """Accepted: it would change nothing that the stand-in has."""


def _raise(session: Session, arguments: Arguments) -> None:
    code = -arguments.number("NUM")
    if not 20000 <= code <= 20999:
        raise OracleFault(21000, "error number argument to raise_application_error is out of range")
    raise OracleFault(code, arguments.text("MSG"))


def _sleep(session: Session, arguments: Arguments) -> None:
    session.wait(arguments.seconds("SECONDS"))


_POLICY = ("OBJECT_SCHEMA", "OBJECT_NAME", "POLICY_NAME")
_ADMIN = ("GRANTEE", "PRIVILEGE_TYPE", "GRANT_SELECT_PRIVILEGES", "DO_GRANTS")
_START = ("STARTSCN", "ENDSCN", "STARTTIME", "ENDTIME", "DICTFILENAME", "OPTIONS")
PROCEDURES = {
    "DBMS_LOGMNR.ADD_LOGFILE": Procedure(("LOGFILENAME", "OPTIONS"), _add_logfile),
    "DBMS_LOGMNR.REMOVE_LOGFILE": Procedure(("LOGFILENAME",), _remove_logfile),
    "DBMS_LOGMNR.START_LOGMNR": Procedure(_START, _start_logmnr),
    "DBMS_LOGMNR.END_LOGMNR": Procedure((), _end_logmnr),
    "DBMS_GOLDENGATE_AUTH.GRANT_ADMIN_PRIVILEGE": Procedure(_ADMIN, _grant_admin),
    "DBMS_GOLDENGATE_AUTH.REVOKE_ADMIN_PRIVILEGE": Procedure(_ADMIN, _revoke_admin),
    "DBMS_RLS.ADD_POLICY": Procedure((*_POLICY, "FUNCTION_SCHEMA", "POLICY_FUNCTION"), _add_policy),
    "DBMS_RLS.DROP_POLICY": Procedure(_POLICY, _drop_policy),
    "DBMS_REDACT.ADD_POLICY": Procedure(
        (*_POLICY, "COLUMN_NAME", "FUNCTION_TYPE", "EXPRESSION"), _add_redaction
    ),
    "DBMS_REDACT.DROP_POLICY": Procedure(_POLICY, _drop_redaction),
    "DBMS_SESSION.SET_IDENTIFIER": Procedure(("CLIENT_ID",), _set_identifier),
    "DBMS_SESSION.CLEAR_IDENTIFIER": Procedure((), _clear_identifier),
    "DBMS_APPLICATION_INFO.SET_MODULE": Procedure(("MODULE_NAME", "ACTION_NAME"), _set_module),
    "DBMS_APPLICATION_INFO.SET_ACTION": Procedure(("ACTION_NAME",), _set_action),
    "DBMS_APPLICATION_INFO.SET_CLIENT_INFO": Procedure(("CLIENT_INFO",), _set_client_info),
    "DBMS_METADATA.SET_TRANSFORM_PARAM": Procedure(("TRANSFORM_HANDLE", "NAME", "VALUE"), _nothing),
    "DBMS_STATS.GATHER_TABLE_STATS": Procedure(("OWNNAME", "TABNAME"), _nothing),
    "DBMS_OUTPUT.ENABLE": Procedure(("BUFFER_SIZE",), _nothing),
    "DBMS_SESSION.SLEEP": Procedure(("SECONDS",), _sleep),
    "DBMS_LOCK.SLEEP": Procedure(("SECONDS",), _sleep),
    "RAISE_APPLICATION_ERROR": Procedure(("NUM", "MSG", "KEEPERRORS"), _raise),
}
