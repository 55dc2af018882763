"""How a session with Oracle begins: the client's certificate, the container, the formats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cdc.config import OracleSystem
from cdc.errors import ConfigurationError
from cdc.oracle.connect import connect
from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.server import OracleServer
from sandbox.tls import Authority, server_context

PASSWORD = "bridge"
SCRIPT = f"""
create user C##BRIDGE identified by "{PASSWORD}";
grant create session to C##BRIDGE;
alter session set container = CCBPDB;
grant set container to C##BRIDGE;
alter system set nls_numeric_characters = ',.';
alter system set nls_date_format = 'DD-MON-RR';
"""


@pytest.fixture
def database() -> OracleDatabase:
    database = OracleDatabase(pdbs=["CCBPDB"])
    database.run_script(SCRIPT)
    return database


def settings(dsn: str, **more: object) -> OracleSystem:
    return OracleSystem.model_validate(
        {"kind": "oracle", "dsn": dsn, "user": "C##BRIDGE", "password": PASSWORD, **more}
    )


@pytest.fixture
def mutual(database: OracleDatabase, tmp_path: Path) -> Iterator[tuple[Authority, str]]:
    """A listener that asks for a client's certificate."""
    authority = Authority.create(tmp_path / "authority")
    context = server_context(authority.issue("server"), authority.certificate)
    with OracleServer(database, tls=context) as server:
        yield authority, f"tcps://localhost:{server.port}/CCB"


def test_an_encrypted_wallet_is_opened_with_its_password(
    mutual: tuple[Authority, str], tmp_path: Path
) -> None:
    """The key of an exported wallet is encrypted: the password opens it; without, no one is asked for one."""
    authority, dsn = mutual
    secret = "Kanarie-wallet-1"
    wallet = authority.write_wallet(
        tmp_path / "wallet", authority.issue("client", client=True), password=secret
    )
    with closing(connect(settings(dsn, wallet=wallet, wallet_password=secret), module="test")) as connection:
        assert connection.is_healthy()
    for wrong in (None, "another"):
        with pytest.raises(ConfigurationError, match=r"private key in .* cannot be opened") as refused:
            connect(settings(dsn, wallet=wallet, wallet_password=wrong), module="test")
        assert "wallet_password_file" in refused.value.hint
        assert "another" not in str(refused.value)


def test_a_wallet_without_a_pem_file_is_named(tmp_path: Path) -> None:
    """A directory with cwallet.sso alone is of no use to the thin driver."""
    with pytest.raises(ConfigurationError, match=r"ewallet\.pem"):
        connect(settings("tcps://localhost:1/CCB", wallet=tmp_path), module="test")


def test_formats_are_those_of_the_bridge_in_every_container(database: OracleDatabase) -> None:
    """What a pluggable database sets for its sessions does not reach the texts that are read."""
    with OracleServer(database) as server:
        dsn = f"127.0.0.1:{server.port}/CCB"
        with (
            closing(connect(settings(dsn, pdb="ccbpdb", insecure=True), module="test")) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("select to_char(1.5), to_char(date '2024-02-29') from dual")
            assert cursor.fetchone() == ("1.5", " 2024-02-29 00:00:00")  # the sign of the year
            cursor.execute("select sys_context('USERENV', 'CON_NAME') from dual")
            assert cursor.fetchone() == ("CCBPDB",)
            cursor.execute(
                "select parameter, value from nls_session_parameters "
                "where parameter in ('NLS_CALENDAR', 'NLS_LANGUAGE') order by 1"
            )
            assert cursor.fetchall() == [("NLS_CALENDAR", "GREGORIAN"), ("NLS_LANGUAGE", "AMERICAN")]
