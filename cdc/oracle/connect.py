"""Connections to Oracle by the python-oracledb thin driver, all the same way."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

import oracledb

from cdc.config import OracleSystem
from cdc.errors import CcbridgeError, ConfigurationError, NotGranted
from cdc.oracle.decoding import lenient_text
from cdc.oracle.errors import ora_code, oracle_errors
from cdc.oracle.login import login_deadline
from cdc.oracle.wallet import check_wallet
from cdc.ports import Finding

NO_CREATE_SESSION, NO_RIGHT = 1045, 1031
CLOSE_TIMEOUT_MS = 5_000

SESSION_FORMATS = (
    "alter session set nls_language = 'AMERICAN' nls_calendar = 'GREGORIAN' "
    "nls_date_format = 'SYYYY-MM-DD HH24:MI:SS' "
    "nls_timestamp_format = 'SYYYY-MM-DD HH24:MI:SS.FF9' "
    "nls_timestamp_tz_format = 'SYYYY-MM-DD HH24:MI:SS.FF9 TZH:TZM' "
    "nls_numeric_characters = '.,' time_zone = '00:00'"
)
"""The text of SQL_REDO follows the session, so every session fixes its formats. SYYYY writes a minus before
years before Christ and a blank before the others; YYYY would write both alike.

They come after the container is entered: its parameters and triggers may set others. NLS_LANGUAGE comes
first, since it brings a date language of its own.

Source: Oracle Database Globalization Support Guide 19c, "NLS parameters"; Multitenant Administrator's Guide
19c, initialization parameters of PDBs.
"""


def connect(settings: OracleSystem, *, module: str, in_root: bool = False) -> oracledb.Connection:
    """Open a session with fixed NLS formats, no float for NUMBER, no LOB locators.

    Args:
        settings: where and as whom.
        module: shown in V$SESSION.MODULE, for example `ccbridge reader bills`.
        in_root: stay in the container of the dsn although a pluggable database is configured.

    Raises:
        DatabaseUnreachable: no listener, unknown service, connection lost, no answer in `connect_timeout_s`.
        LoginRefused: user or password refused.
        ConfigurationError: no password is configured, or the wallet cannot be opened.
        OperatorError: the pluggable database does not exist or may not be entered.
    """
    subject = f"{settings.user}@{settings.dsn}"
    password = settings.secret()
    if password is None:
        raise ConfigurationError([f"{subject}: no password"], hint=settings.password_hint)
    check_wallet(settings, subject)
    with oracle_errors(subject), login_deadline(settings.connect_timeout_s, subject):
        try:
            connection = oracledb.connect(
                user=settings.user,
                password=password,
                dsn=settings.dsn,
                wallet_location=str(settings.wallet) if settings.wallet else None,
                wallet_password=settings.wallet_secret(),
                tcp_connect_timeout=settings.connect_timeout_s,
                expire_time=2,  # minutes; below the idle limit of common load balancers
            )
        except oracledb.DatabaseError as exc:
            where = " -- in the root, whose service dsn must name" if settings.pdb else ""
            _name_missing(exc, NO_CREATE_SESSION, subject, f"grant create session to {settings.user};{where}")
            raise
        connection.outputtypehandler = lenient_text
        connection.module = module
        connection.client_identifier = "ccbridge"
        try:
            with connection.cursor() as cursor:
                if settings.pdb is not None and not in_root:
                    _enter(cursor, settings, subject)
                cursor.execute(SESSION_FORMATS)
        except BaseException:
            close(connection)
            raise
    connection.call_timeout = settings.query_timeout_s * 1000
    return connection


def close(connection: oracledb.Connection) -> None:
    """Close a connection; what fails while it is closed does not matter, and it is not waited for long."""
    with suppress(CcbridgeError), oracle_errors("connection"):
        hurry(connection)
        connection.close()


def hurry(connection: oracledb.Connection) -> None:
    """From now on an answer is not waited for long."""
    if connection.is_healthy():  # the thin driver crashes the process where its socket is gone
        connection.call_timeout = CLOSE_TIMEOUT_MS


def _enter(cursor: oracledb.Cursor, settings: OracleSystem, subject: str) -> None:
    """Go into the pluggable database of the tables."""
    statement = entering(settings.pdb or "")
    try:
        cursor.execute(statement)
    except oracledb.DatabaseError as exc:
        grant = f"{statement};\ngrant set container to {settings.user};"
        _name_missing(exc, NO_RIGHT, f"{subject}, container {settings.pdb}", grant)
        raise


def _name_missing(exc: oracledb.DatabaseError, code: int, subject: str, grant: str) -> None:
    """Raise NotGranted with the grant that fixes it, if that is what failed."""
    if ora_code(exc) == code:
        raise NotGranted(f"{subject}: {str(exc).splitlines()[0]}", hint=grant) from exc


def entering(pdb: str) -> str:
    """The statement that goes into a pluggable database."""
    return f"alter session set container = {identifier(pdb)}"


def fixed_in_pdb(found: Iterable[Finding], pdb: str | None) -> list[Finding]:
    """Findings about tables; their fixes are run in the pluggable database, if there is one."""
    return [
        replace(finding, fix=f"{entering(pdb)};\n{finding.fix}") if pdb and finding.fix else finding
        for finding in found
    ]


def identifier(name: str) -> str:
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


oracledb.defaults.fetch_decimals = True
oracledb.defaults.fetch_lobs = False
