"""Sets up the CC&B database on the Oracle stand-in: users, tables, rights, configuration, customers.

All of it is ordinary SQL through the unmodified driver, as a DBA would run it. `create` makes the
schema as SYSTEM, `load_customers` fills it as the application, `sandbox.world` calls both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

import oracledb

from sandbox.ccb import people
from sandbox.ccb.schema import CAPTURED, OWNER, UPLOAD_CHECKS, UPLOAD_STAGING, lookups, tables

APPLICATION_USER = "CISUSER"
BRIDGE_USER = "CCBRIDGE"
SUSPENSE_ACCOUNT, SUSPENSE_AGREEMENT = "0000000001", "0000000002"
UPLOAD_SOURCE, COUNTER_SOURCE = "PREPAID", "CASHDESK"
TENDER_TYPES = ("CASH", "CARD", "MOMO", "CHEC")
DICTIONARY_VIEWS = (
    "V_$DATABASE",
    "V_$INSTANCE",
    "V_$THREAD",
    "V_$LOG",
    "V_$LOGFILE",
    "V_$LOG_HISTORY",
    "V_$ARCHIVED_LOG",
    "V_$ARCHIVE_DEST_STATUS",
    "V_$LOGMNR_LOGS",
    "V_$LOGMNR_CONTENTS",
    "V_$LOGMNR_PARAMETERS",
    "V_$TRANSACTION",
    "GV_$TRANSACTION",
    "V_$PARAMETER",
    "V_$NLS_PARAMETERS",
    "DBA_OBJECTS",
)
"""What a LogMiner session and its start-up checks look at."""


@dataclass(frozen=True)
class CcbDatabase:
    """Where the CC&B database is, and as whom to reach it. Passwords are of the sandbox only."""

    host: str
    port: int
    service: str = "CCB"
    passwords: Mapping[str, str] = field(
        default_factory=lambda: {
            "SYSTEM": "system",
            OWNER: "cisadm",
            APPLICATION_USER: "cisuser",
            BRIDGE_USER: "bridge-sandbox",
        }
    )
    tls_port: int | None = None

    @property
    def dsn(self) -> str:
        """Easy Connect text without TLS."""
        return f"{self.host}:{self.port}/{self.service}"

    @property
    def tls_dsn(self) -> str:
        """Easy Connect text with TLS; needs a wallet that trusts the sandbox authority."""
        return f"tcps://localhost:{self.tls_port}/{self.service}"  # the driver wants a name, not an address

    def connect(self, user: str = APPLICATION_USER) -> oracledb.Connection:
        """Open a session whose numbers arrive as Decimal.

        Raises:
            oracledb.Error: not reachable, or refused.
        """
        connection = oracledb.connect(user=user, password=self.passwords[user], dsn=self.dsn)
        connection.outputtypehandler = exact_numbers
        return connection


def exact_numbers(cursor: oracledb.Cursor, column: oracledb.FetchInfo) -> oracledb.Var | None:
    """Fetch NUMBER as Decimal: money is never a float."""
    if column.type_code is oracledb.DB_TYPE_NUMBER:
        return cursor.var(Decimal, arraysize=cursor.arraysize)
    return None


def create(database: CcbDatabase, *, root: str = "CCB") -> None:
    """Create users, tables with supplemental logging, rights and configuration rows.

    `root` is the service where the whole database's logging is set: another one if it is multitenant.

    Raises:
        oracledb.DatabaseError: the database has some of it already.
    """
    with replace(database, service=root).connect("SYSTEM") as connection, connection.cursor() as cursor:
        cursor.execute("alter database add supplemental log data")
        cursor.execute("alter database force logging")
    with database.connect("SYSTEM") as connection, connection.cursor() as cursor:
        for statement in schema_statements(database.passwords):
            cursor.execute(statement)
    with database.connect() as connection, connection.cursor() as cursor:
        _configure(cursor)
        connection.commit()


def schema_statements(passwords: Mapping[str, str]) -> list[str]:
    """The DDL in order: users, tables, rights."""
    statements = []
    for user in (OWNER, APPLICATION_USER, BRIDGE_USER):
        statements.append(f'create user {user} identified by "{passwords[user]}"')
        statements.append(f"grant create session to {user}")
    statements.append(f"alter user {OWNER} quota unlimited on USERS")
    for table in tables().values():
        statements += table.ddl()
        statements.append(f"grant select, insert, update, delete on {table.qualified} to {APPLICATION_USER}")
    return statements + bridge_grants()


def bridge_grants() -> list[str]:
    """What the bridge's user needs, and no more: mining, snapshots, the way in for payments."""
    statements = [
        f"grant logmining to {BRIDGE_USER}",
        f"grant execute on SYS.DBMS_LOGMNR to {BRIDGE_USER}",
        *(f"grant select on SYS.{view} to {BRIDGE_USER}" for view in DICTIONARY_VIEWS),
        *(f"grant select, flashback on {OWNER}.{table} to {BRIDGE_USER}" for table in CAPTURED),
        *(f"grant select on {OWNER}.{table} to {BRIDGE_USER}" for table in UPLOAD_CHECKS),
    ]
    for table in UPLOAD_STAGING:
        rights = "insert" if table in CAPTURED else "select, insert"
        statements.append(f"grant {rights} on {OWNER}.{table} to {BRIDGE_USER}")
    return statements


def load_customers(database: CcbDatabase, persons: int, *, seed: int) -> dict[str, int]:
    """Load synthetic customers in arrays, one transaction per 5,000 persons; returns rows by table."""
    counts = dict.fromkeys(people.COLUMNS, 0)
    with database.connect() as connection, connection.cursor() as cursor:
        for batch in people.Customers(seed).batches(persons):
            for table, rows in batch.items():
                insert_rows(cursor, table, rows)
                counts[table] += len(rows)
            connection.commit()
    return counts


def insert_rows(cursor: oracledb.Cursor, table: str, rows: list[tuple[object, ...]]) -> None:
    """Insert generated rows of one table, as `people.COLUMNS` shapes them; does not commit."""
    if rows:
        cursor.executemany(_INSERTS[table], rows)


def _configure(cursor: oracledb.Cursor) -> None:
    """Rows that a site's administrators enter: lookups, tender types, tender sources, suspense."""
    labels = [
        (name, value, language, label)
        for name, values in lookups().items()
        for value, label in values.items()
        for language in ("ENG", "FRA")
    ]
    cursor.executemany(
        tables()["CI_LOOKUP_VAL_L"].insert_statement(
            ("FIELD_NAME", "FIELD_VALUE", "LANGUAGE_CD", "DESCR"), OWNER_FLG="C1"
        ),
        labels,
    )
    cursor.executemany(
        tables()["CI_TENDER_TYPE"].insert_statement(
            ("TENDER_TYPE_CD", "LIKE_CASH_SW"),
            GENERATE_APAY_SW="N",
            REQ_EXT_SRC_ID_SW="N",
            REQ_EXPIRE_DT_SW="N",
            ALLOW_CASH_BACK_SW="N",
        ),
        [(code, "Y" if code == "CASH" else "N") for code in TENDER_TYPES],
    )
    opened = date(2019, 1, 1)
    insert_rows(cursor, "CI_ACCT", [(SUSPENSE_ACCOUNT, opened, "SUSP", " ")])
    suspense = (SUSPENSE_AGREEMENT, SUSPENSE_ACCOUNT, "SUSP", "20", opened, None, " ", " ")
    insert_rows(cursor, "CI_SA", [suspense])
    cursor.executemany(
        tables()["CI_TNDR_SRCE"].insert_statement(
            ("TNDR_SOURCE_CD", "TNDR_SRCE_TYPE_FLG", "SA_ID", "EXT_SOURCE_ID"), CURRENCY_CD="XAF"
        ),
        [
            (UPLOAD_SOURCE, "LOCK", SUSPENSE_AGREEMENT, UPLOAD_SOURCE),
            (COUNTER_SOURCE, "CASH", SUSPENSE_AGREEMENT, " "),
        ],
    )


_INSERTS = {
    table: tables()[table].insert_statement(columns, **people.FIXED.get(table, {}))
    for table, columns in people.COLUMNS.items()
}
