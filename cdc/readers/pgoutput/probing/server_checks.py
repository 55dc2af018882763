"""Verdicts on the server and on what lies before it: settings, limits, poolers by their behaviour."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress

import psycopg
from psycopg.conninfo import make_conninfo

from cdc.assumptions import Check, NotTried, Said, differs, holds, judge
from cdc.config import PostgresSystem
from cdc.errors import CcbridgeError, LoginRefused
from cdc.postgres.connect import Connection, conninfo
from cdc.postgres.errors import postgres_errors
from cdc.readers.pgoutput.session import WalSender
from cdc.readers.pgoutput.wire.canonical import SESSION_OPTIONS

OLDEST_VERSION = 140_000
FILTERS_SINCE = 150_000
LEAST_TIMEOUT_MS = 10_000
LOCK = 4_711_000_017
"""An advisory lock that no other session takes."""

FORMS = """
select (1.0::float8 / 3)::text, 0.1::float4::text, '2024-02-29 10:11:12.5+01'::timestamptz::text,
    '2024-02-29'::date::text, '\\x00ff'::bytea::text, 12345678901234567890.123456789::numeric::text"""
EXPECTED = (
    "0.3333333333333333",
    "0.1",
    "2024-02-29 09:11:12.5+00",
    "2024-02-29",
    "\\x00ff",
    "12345678901234567890.123456789",
)
NONDETERMINISTIC = """
select format('%%s.%%s.%%s', n.nspname, c.relname, a.attname)
from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)
join pg_collation k on k.oid = a.attcollation
where i.indisprimary and not k.collisdeterministic and n.nspname = any (%s) order by 1"""
IDENTITY = "select system_identifier::text, current_database() from pg_control_system()"
ORIGIN_FUNCTIONS = (
    "pg_replication_origin_create(text)",
    "pg_replication_origin_session_setup(text)",
    "pg_replication_origin_xact_setup(pg_lsn, timestamptz)",
    "pg_replication_origin_oid(text)",
)

Connect = Callable[[], Connection]


def connected(settings: PostgresSystem) -> Connection:
    """A session as the reader opens it, but without prepared statements, which a pooler may lose."""
    info = make_conninfo(conninfo(settings, application="ccbridge probe"), options=SESSION_OPTIONS)
    with postgres_errors(f"{settings.user}@{settings.host}:{settings.port}/{settings.database}"):
        return psycopg.connect(info, autocommit=True, prepare_threshold=None)


class ServerChecks:
    """Checks that need no table.

    Args:
        system: name of the system, for messages.
        settings: how to reach it.
        connect: opens a session; the same address as the reader's.
    """

    def __init__(self, system: str, settings: PostgresSystem, connect: Connect) -> None:
        self._system, self._settings = system, settings
        self._connect = connect
        self.session = connect()

    @property
    def checks(self) -> dict[str, Check]:
        """Each check by the name of its assumption."""
        return {
            "version": self._version,
            "wal-level": self._wal_level,
            "slots-free": lambda: self._free(
                "max_replication_slots", "select count(*) from pg_replication_slots"
            ),
            "senders-free": lambda: self._free("max_wal_senders", "select count(*) from pg_stat_replication"),
            "sender-timeout": self._sender_timeout,
            "primary": self._primary,
            "replication-session": self._replication_session,
            "settings-persist": self._settings_persist,
            "temporary-tables-persist": self._temporary_tables,
            "prepared-statements-persist": self._prepared_statements,
            "advisory-locks-persist": self._advisory_locks,
            "same-process": self._same_process,
            "start-options": self._start_options,
            "encoding": self._encoding,
            "text-forms": self._text_forms,
            "key-collation": self._key_collation,
            "row-security": self._row_security,
            "origin-functions": self._origin_functions,
            "publication-features": self._publication_features,
        }

    def value(self, statement: str, *values: object) -> object:
        """The first value of a query's first row, None if there is none."""
        with postgres_errors(self._system):
            row = self.session.execute(statement.encode(), values or None).fetchone()
        return row[0] if row else None

    def _setting(self, name: str) -> str:
        return str(self.value("select current_setting(%s)", name))

    def version(self) -> int:
        """As server_version_num."""
        return int(self._setting("server_version_num"))

    def _version(self) -> Said:
        return judge(self.version() >= OLDEST_VERSION, self._setting("server_version"))

    def _wal_level(self) -> Said:
        return judge(self._setting("wal_level") == "logical", self._setting("wal_level"))

    def _free(self, setting: str, used: str) -> Said:
        limit, in_use = int(self._setting(setting)), int(str(self.value(used)))
        ours = self.value(
            "select count(*) from pg_replication_slots where slot_name = %s", self._settings.slot
        )
        free = in_use < limit or bool(ours)
        return judge(free, f"{in_use} of {limit} in use")

    def _sender_timeout(self) -> Said:
        milliseconds = int(
            str(self.value("select setting::int from pg_settings where name = 'wal_sender_timeout'"))
        )
        return judge(milliseconds == 0 or milliseconds >= LEAST_TIMEOUT_MS, f"{milliseconds} ms")

    def _primary(self) -> Said:
        standby = bool(self.value("select pg_is_in_recovery()"))
        read_only = self._setting("default_transaction_read_only") == "on"
        return judge(not standby and not read_only, f"standby: {standby}, read only: {read_only}".lower())

    def _replication_session(self) -> Said:
        ours = self.value("select rolreplication or rolsuper from pg_roles where rolname = current_user")
        if not ours:
            role = self.value("select current_user")
            raise NotTried("the role has no REPLICATION attribute", hint=f'alter role "{role}" replication;')
        try:
            with closing(WalSender(self._settings, self._system)) as sender:
                found = sender.command("IDENTIFY_SYSTEM")[0]
        except LoginRefused:
            raise
        except CcbridgeError as exc:
            return differs(f"refused: {exc}")
        with suppress(psycopg.Error):  # pg_control_system may be denied to the role
            row = self.session.execute(IDENTITY).fetchone()
            if row is not None and row != (found["systemid"], found["dbname"]):
                return differs("the replication session leads to another server or database")
        return holds(f"timeline {found['timeline']}")

    # -- what a pooler removes -------------------------------------------------------------------

    def _settings_persist(self) -> Said:
        self.value("select set_config('application_name', 'ccbridge probe kept', false)")
        kept = self._setting("application_name")
        return judge(
            kept == "ccbridge probe kept", "kept" if kept == "ccbridge probe kept" else "lost: a pooler?"
        )

    def _temporary_tables(self) -> Said:
        with postgres_errors(self._system):
            self.session.execute("create temporary table ccbp_kept (id int)")
        try:
            found = self.value("select to_regclass('pg_temp.ccbp_kept') is not null")
            return judge(bool(found), "kept" if found else "lost: a pooler?")
        finally:
            with suppress(psycopg.Error):
                self.session.execute("drop table if exists pg_temp.ccbp_kept")

    def _prepared_statements(self) -> Said:
        try:
            self.session.execute("prepare ccbp_kept as select 1")
            self.session.execute("execute ccbp_kept")
            self.session.execute("deallocate ccbp_kept")
        except psycopg.errors.InvalidSqlStatementName:
            return differs("lost: a pooler?")
        except psycopg.Error as exc:
            return differs(f"{exc.sqlstate}")
        return holds("kept")

    def _advisory_locks(self) -> Said:
        if not self.value("select pg_try_advisory_lock(%s)", LOCK):
            raise NotTried("another probe holds the test lock")
        with closing(self._connect()) as other:
            row = other.execute("select pg_try_advisory_lock(%s)", [LOCK]).fetchone()
            taken = bool(row and row[0])
            if taken:
                other.execute("select pg_advisory_unlock(%s)", [LOCK])
        released = bool(self.value("select pg_advisory_unlock(%s)", LOCK))
        kept = not taken and released
        return judge(kept, "kept" if kept else "given to another session: a pooler?")

    def _same_process(self) -> Said:
        processes = {self.value("select pg_backend_pid()") for _ in range(5)}
        shown = self.session.info.backend_pid
        return judge(
            processes == {shown},
            f"{len(processes)} process(es), the one of the login: {processes == {shown}}",
        )

    # -- sessions --------------------------------------------------------------------------------

    def _start_options(self) -> Said:
        expected = {
            "TimeZone": "UTC",
            "statement_timeout": "0",
            "idle_in_transaction_session_timeout": "0",
            "extra_float_digits": "3",
            "row_security": "off",
            "bytea_output": "hex",
        }
        with closing(self._connect()) as fresh, postgres_errors(self._system):
            found = {
                name: fresh.execute("select current_setting(%s)", [name]).fetchone() for name in expected
            }
        other = [
            f"{name} = {row[0] if row else None}" for name, row in found.items() if row != (expected[name],)
        ]
        return judge(not other, ", ".join(other) or "in force")

    def _encoding(self) -> Said:
        encoding = self._setting("server_encoding")
        with postgres_errors(self._system):
            client = self.session.info.encoding
        return judge(encoding != "SQL_ASCII" and client == "utf-8", f"{encoding}, to us {client}")

    def _text_forms(self) -> Said:
        with postgres_errors(self._system):
            row = self.session.execute(FORMS).fetchone()
        other = [
            f"{found} for {expected}"
            for found, expected in zip(row or (), EXPECTED, strict=True)
            if found != expected
        ]
        return judge(not other, ", ".join(other) or f"{len(EXPECTED)} forms")

    def _key_collation(self) -> Said:
        with postgres_errors(self._system):
            rows = self.session.execute(NONDETERMINISTIC, [list(self._settings.schemas)]).fetchall()
        names = [str(name) for (name,) in rows]
        return judge(not names, ", ".join(names[:5]) or f"schemas {', '.join(self._settings.schemas)}")

    def _row_security(self) -> Said:
        policies = self.value(
            "select count(*) from pg_policies where schemaname = any (%s)", list(self._settings.schemas)
        )
        return judge(
            self._setting("row_security") == "off", f"row_security = off, {policies} policies in our schemas"
        )

    def _origin_functions(self) -> Said:
        denied = [
            name
            for name in ORIGIN_FUNCTIONS
            if not self.value("select has_function_privilege(%s, 'execute')", "pg_catalog." + name)
        ]
        if denied:
            role = self.value("select current_user")
            hint = "\n".join(f'grant execute on function pg_catalog.{name} to "{role}";' for name in denied)
            raise NotTried(f"{len(denied)} functions are not granted", hint=hint)
        return holds(f"{len(ORIGIN_FUNCTIONS)} functions")

    def _publication_features(self) -> Said:
        there = self.value(
            "select count(*) from pg_attribute where attrelid = 'pg_catalog.pg_publication_rel'::regclass "
            "and attname in ('prqual', 'prattrs')"
        )
        return judge(
            (int(str(there)) == 2) == (self.version() >= FILTERS_SINCE),
            f"{there} of 2 columns of the catalog",
        )
