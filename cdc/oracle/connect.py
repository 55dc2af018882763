"""Connections to Oracle by the python-oracledb thin driver, all the same way."""

from __future__ import annotations

import oracledb

from cdc.config import OracleSystem
from cdc.errors import ConfigurationError
from cdc.oracle.errors import oracle_errors

SESSION_FORMATS = (
    "alter session set nls_date_format = 'YYYY-MM-DD HH24:MI:SS' "
    "nls_timestamp_format = 'YYYY-MM-DD HH24:MI:SS.FF9' "
    "nls_timestamp_tz_format = 'YYYY-MM-DD HH24:MI:SS.FF9 TZH:TZM' "
    "nls_numeric_characters = '.,' time_zone = '00:00'"
)
"""The text of SQL_REDO follows the session, so every session fixes its formats."""


def connect(settings: OracleSystem, *, module: str, in_root: bool = False) -> oracledb.Connection:
    """Open a session with fixed NLS formats, no float for NUMBER, no LOB locators.

    Args:
        settings: where and as whom.
        module: shown in V$SESSION.MODULE, for example `ccbridge reader ccb`.
        in_root: stay in the container of the dsn although a pluggable database is configured.

    Raises:
        DatabaseUnreachable: no listener, unknown service, connection lost.
        LoginRefused: user or password refused.
        ConfigurationError: no password is configured.
        OperatorError: the pluggable database does not exist or may not be entered.
    """
    subject = f"{settings.user}@{settings.dsn}"
    password = settings.secret()
    if password is None:
        raise ConfigurationError(
            [f"{subject}: no password"], hint="set CCBRIDGE_SYSTEMS__<NAME>__PASSWORD, or password_file"
        )
    with oracle_errors(subject):
        connection = oracledb.connect(
            user=settings.user,
            password=password,
            dsn=settings.dsn,
            wallet_location=str(settings.wallet) if settings.wallet else None,
            tcp_connect_timeout=settings.connect_timeout_s,
            expire_time=2,  # minutes; below the idle limit of common load balancers
        )
        connection.module = module
        connection.client_identifier = "ccbridge"
        try:
            with connection.cursor() as cursor:
                cursor.execute(SESSION_FORMATS)
                if settings.pdb is not None and not in_root:
                    cursor.execute(f"alter session set container = {identifier(settings.pdb)}")
        except BaseException:
            connection.close()
            raise
    return connection


def identifier(name: str) -> str:
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


oracledb.defaults.fetch_decimals = True
oracledb.defaults.fetch_lobs = False
