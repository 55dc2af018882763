"""A schema that the LogMiner reader captures; used by several test modules.

It is on the Oracle stand-in, or on the database that CCBRIDGE_TEST_ORACLE_DSN names. Where that is
multitenant the DSN is of a service of the root, CCBRIDGE_TEST_ORACLE_PDB names the pluggable database
that gets the schemas, and its service is called as it is.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import oracledb
import pytest

from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.oracle.connect import entering
from cdc.ports import ChangeReader
from cdc.readers.logminer import LogMinerReader
from cdc.readers.logminer.checks.grants import dictionary_grants, enter_grant, mining_grants, table_grants
from sandbox.oracle_process import SYSTEM_PASSWORD, OracleProcess
from tests.contract.reader_suite import TypeCase

REAL_DSN = os.environ.get("CCBRIDGE_TEST_ORACLE_DSN")
ADMIN = os.environ.get("CCBRIDGE_TEST_ORACLE_ADMIN", "SYSTEM")
ADMIN_PASSWORD = os.environ.get("CCBRIDGE_TEST_ORACLE_PASSWORD", SYSTEM_PASSWORD)
REAL_PDB = os.environ.get("CCBRIDGE_TEST_ORACLE_PDB")
NO_SUCH_USER = 1918
BRIDGE, COMMON_BRIDGE = "CCBRIDGE", "C##CCBRIDGE"
SECRET = "bridge"
TABLES = ("ACCOUNT", "RECHARGE", "TYPED")
COLUMNS = "id number(19) primary key, name varchar2(60) not null, amount number(15,2), note varchar2(200)"


@contextmanager
def oracle_server(folder: Path) -> Iterator[str]:
    """Where a database with the bridge's user and its rights listens: a stand-in, or the real one named."""
    if REAL_DSN:
        yield prepared(REAL_DSN)
        return
    pdbs = (REAL_PDB, "OTHERPDB") if REAL_PDB else ()
    with OracleProcess(folder / "oracle.log", pdbs=pdbs) as server:
        yield prepared(f"127.0.0.1:{server.port}/CCB")


def needs_stand_in() -> None:
    """Skip a test that uses the stand-in's failure list."""
    if REAL_DSN:
        pytest.skip("the database of CCBRIDGE_TEST_ORACLE_DSN has no failure list")


@contextmanager
def pluggable_database(folder: Path) -> Iterator[str]:
    """Where a pluggable database listens that is mined from within, by a local user with its rights."""
    if REAL_DSN and REAL_PDB:
        yield prepared_inside(REAL_DSN, REAL_PDB)
        return
    if REAL_DSN:
        pytest.skip("the database of CCBRIDGE_TEST_ORACLE_DSN has no pluggable database")
    with OracleProcess(folder / "oracle.log", pdbs=("CCBPDB", "OTHERPDB")) as server:
        yield prepared_inside(f"127.0.0.1:{server.port}/CCB", "CCBPDB")


def prepared_inside(root: str, pdb: str) -> str:
    """Switch logging on in the root, and make the bridge's user in the pluggable database; its dsn."""
    with system_session(root) as cursor:
        cursor.execute("select supplemental_log_data_min, force_logging from v$database")
        minimal, forced = cursor.fetchone()
        if minimal == "NO":
            cursor.execute("alter database add supplemental log data")
        if forced != "YES":
            cursor.execute("alter database force logging")
    return prepared(inside(root, pdb), None, mined_inside=True)


def prepared(dsn: str, pdb: str | None = REAL_PDB, *, mined_inside: bool = False) -> str:
    """Make the bridge's user, again if it is there, with its rights."""
    settings = bridge_settings(dsn, pdb)
    with system_session(dsn) as cursor:
        try:
            cursor.execute(f"drop user {settings.user} cascade")
        except oracledb.DatabaseError as exc:
            if exc.args[0].code != NO_SUCH_USER:
                raise
        cursor.execute(f'create user {settings.user} identified by "{SECRET}"')
        for grant in mining_grants(settings, settings.user, pdb=pdb, inside=mined_inside):
            cursor.execute(grant if grant.startswith("begin") else grant.removesuffix(";"))
        if pdb is None:
            grant_dictionary(cursor, settings.user)
        cursor.execute("select supplemental_log_data_min from v$database")
        if cursor.fetchone() == ("NO",):
            cursor.execute("alter database add supplemental log data")
        cursor.execute("select force_logging from v$database")
        if cursor.fetchone() != ("YES",):
            cursor.execute("alter database force logging")
    return dsn


def grant_dictionary(cursor: oracledb.Cursor, user: str) -> None:
    """The views of the dictionary, where the tables are."""
    for grant in dictionary_grants(user):
        cursor.execute(grant.removesuffix(";"))


def bridge_settings(dsn: str, pdb: str | None = REAL_PDB) -> OracleSystem:
    """How the bridge reaches the database: a common user where it is multitenant."""
    user = COMMON_BRIDGE if pdb else BRIDGE
    return OracleSystem(
        kind="oracle", dsn=dsn, user=user, password=SECRET, insecure=True, pdb=pdb, poll_interval_ms=25
    )


def inside(dsn: str, pdb: str | None) -> str:
    """Where the application logs in: at the service of the pluggable database, if there is one."""
    return f"{dsn.rpartition('/')[0]}/{pdb}" if pdb else dsn


@contextmanager
def system_session(dsn: str) -> Iterator[oracledb.Cursor]:
    """A DBA's cursor; commits at the end. SYS may grant on its own views for certain, and must be SYSDBA."""
    mode = oracledb.AUTH_MODE_SYSDBA if ADMIN.upper() == "SYS" else oracledb.AUTH_MODE_DEFAULT
    with oracledb.connect(user=ADMIN, password=ADMIN_PASSWORD, dsn=dsn, mode=mode) as connection:
        with connection.cursor() as cursor:
            yield cursor
        connection.commit()


def as_bridge(settings: OracleSystem, *, client: str = "") -> oracledb.Connection:
    """A session of the bridge's user where the tables are, with this client identifier."""
    connection = oracledb.connect(user=settings.user, password=SECRET, dsn=settings.dsn)
    connection.client_identifier = client
    if settings.pdb is not None:
        with connection.cursor() as cursor:
            cursor.execute(entering(settings.pdb))
    return connection


class OracleSession:
    def __init__(self, connection: oracledb.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()


class OracleSource:
    """A schema of its own with the contract's tables."""

    type_cases = (
        TypeCase("int_c", "-12", "-12"),
        TypeCase("money_c", "1234.5", "1234.5"),
        TypeCase("cents_c", "-.01", "-0.01"),
        TypeCase("free_c", "12345678901234567890123456789012345.6", "12345678901234567890123456789012345.6"),
        TypeCase("large_c", "1e25", "10000000000000000000000000"),
        TypeCase("char_c", "'ab'", "ab    "),
        TypeCase("blank_c", "' '", " "),
        TypeCase("empty_c", "''", None),
        TypeCase("null_c", "null", None),
        TypeCase("odd_c", "'a\tb\"c''d\ne\\.\r,f é 😀 '", "a\tb\"c'd\ne\\.\r,f é 😀 "),
        TypeCase("quote_c", "''''", "'"),
        TypeCase("date_c", "date '2024-02-29'", "2024-02-29 00:00:00"),
        TypeCase("stamp_c", "timestamp '2024-02-29 10:11:12.5'", "2024-02-29 10:11:12.5"),
        TypeCase(
            "zone_c",
            "to_timestamp_tz('2024-02-29 10:11:12 +01:00', 'YYYY-MM-DD HH24:MI:SS TZH:TZM')",
            "2024-02-29 09:11:12+00",
        ),
        TypeCase("bytes_c", "hextoraw('00FF')", "00ff"),
    )
    typed = (
        "id number(19) primary key, int_c number(9), "
        "money_c number(15,2), cents_c number(15,2), free_c number, "
        "large_c number, char_c char(6), blank_c varchar2(10), empty_c varchar2(10), null_c varchar2(10), "
        "odd_c varchar2(60), quote_c varchar2(10), date_c date, stamp_c timestamp(6), "
        "zone_c timestamp(6) with time zone, bytes_c raw(16)"
    )

    def __init__(self, dsn: str, pdb: str | None = REAL_PDB, *, owner: str | None = None) -> None:
        self.settings = bridge_settings(dsn, pdb)
        self._dsn = inside(dsn, pdb)
        self.owner = owner or f"T{uuid.uuid4().hex[:12].upper()}"
        bridge = self.settings.user
        with system_session(self._dsn) as cursor:
            cursor.execute(f'create user {self.owner} identified by "{SECRET}"')
            cursor.execute(f"grant create session to {self.owner}")
            cursor.execute(f"alter user {self.owner} quota unlimited on USERS")
            for table in (*TABLES, "ASIDE"):
                columns = self.typed if table == "TYPED" else COLUMNS
                cursor.execute(f"create table {self.owner}.{table} ({columns})")
                cursor.execute(f"alter table {self.owner}.{table} add supplemental log data (all) columns")
                cursor.execute(f"grant insert on {self.owner}.{table} to {bridge}")
            if pdb is not None:
                cursor.execute(enter_grant(bridge).removesuffix(";"))
                grant_dictionary(cursor, bridge)
            for grant in table_grants([TableName(self.owner, table) for table in (*TABLES, "ASIDE")], bridge):
                cursor.execute(grant.removesuffix(";"))

    def spelled(self, name: str) -> str:
        return name.upper()

    def reader(self) -> ChangeReader:
        return LogMinerReader("ccb", self.settings, [TableName(self.owner, name) for name in TABLES])

    @contextmanager
    def session(self, *, ours: bool = False) -> Iterator[OracleSession]:
        logged_in = (
            as_bridge(self.settings)
            if ours
            else oracledb.connect(user=self.owner, password=SECRET, dsn=self._dsn)
        )
        with logged_in as connection:
            session = OracleSession(connection)
            session.execute(f"alter session set current_schema = {self.owner}")
            yield session

    def rows(self, table: str) -> Mapping[str, Mapping[str, str | None]]:
        with system_session(self._dsn) as cursor:
            cursor.execute(f"select to_char(id), name, to_char(amount), note from {self.owner}.{table}")
            return {row[0]: dict(zip(("id", "name", "amount", "note"), row, strict=True)) for row in cursor}

    def cut(self) -> None:
        with system_session(self.settings.dsn) as cursor:
            cursor.execute("select sid, serial# from v$session where module like 'ccbridge%'")
            for sid, serial in cursor.fetchall():
                cursor.execute(f"alter system kill session '{sid},{serial}'")

    def move_log(self) -> None:
        with system_session(self._dsn) as cursor:
            aside = f"{self.owner}.ASIDE"
            cursor.execute(f"insert into {aside} (id, name) select nvl(max(id), 0) + 1, 'x' from {aside}")
