"""The scratch schema of a probe: its tables are made, filled by the workload, and dropped.

Nothing else is written. Every table carries a comment by which a later probe knows that it may be dropped; a
schema that has a table of one of these names without the comment is refused. Dropping is done by a session
of its own, so that it works whatever interrupted the probe.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import oracledb
from pydantic import SecretStr

from cdc.assumptions import Deadline, NotTried
from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.errors import CcbridgeError, DatabaseUnreachable, NotGranted, OperatorError
from cdc.oracle.connect import connect
from cdc.oracle.errors import ora_code, oracle_errors, translated
from cdc.readers.logminer.checks.grants import table_grants
from cdc.readers.logminer.probing.workload import STEP, TABLES, ScratchTable
from cdc.readers.logminer.tables.dictionary import CapturedTable, captured_tables
from cdc.readers.logminer.tables.selected import quoted

MADE_BY = "made by ccbridge probe, dropped at its end"
OURS = """
select t.table_name, c.comments from all_tables t
left join all_tab_comments c on c.owner = t.owner and c.table_name = t.table_name
where t.owner = :owner and t.table_name like 'CCBP%'"""
KNOWN_USER = "select count(*) from all_users where username = :name"
CLEAN_UP_S = 30
IN_FLIGHT_S = 1.0
"""A statement that was interrupted has ended on the server by then."""
NOT_GRANTED, NO_QUOTA, NO_TABLESPACE, BUSY = (1031, 1749), (1536, 1950, 1954), 1658, 54
_NO_TABLE = 942

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ScratchPlace:
    """The schema that the DBA names, and how to log in as its owner.

    Args:
        schema: name of the schema; that of the bridge's own user needs no password.
        password: of its owner.
        dsn: where its owner logs in; the system's own if None.
    """

    schema: str
    password: SecretStr | None = None
    dsn: str | None = None


def set_up(schema: str) -> str:
    """What a DBA runs to make a scratch schema."""
    return (
        f'create user {schema} identified by "<password>" quota 100m on users;\n'
        f"grant create session, create table to {schema};"
    )


class Scratch:
    """The schema while a probe uses it.

    Args:
        system: name of the system, for messages.
        settings: how the bridge reaches the database.
        place: the schema.
        deadline: calls take no longer.
        seen_by: the bridge's connection to the tables, by which the dictionary is read.

    Attributes:
        missing: tables that could not be made, with the reason.
        described: the replayed tables as the dictionary shows them to their owner.
    """

    def __init__(
        self,
        system: str,
        settings: OracleSystem,
        place: ScratchPlace,
        deadline: Deadline,
        seen_by: Callable[[], oracledb.Connection],
    ) -> None:
        self._system, self._settings, self._deadline = system, settings, deadline
        self._seen_by = seen_by
        self.schema = place.schema
        self._place = place
        self.own = place.schema == settings.user.upper()
        self.missing: dict[str, NotTried] = {}
        self.described: dict[str, CapturedTable] = {}
        self._made: set[str] = set()
        self._in_statement = False
        self._touched = False
        self.connection: oracledb.Connection | None = None

    def login(self) -> oracledb.Connection:
        """A session of the schema's owner.

        Raises:
            NotTried: no password is known.
            CcbridgeError: no session.
        """
        settings = self._settings
        if not self.own:
            if self._place.password is None:
                raise NotTried(
                    f"the password of the scratch schema {self.schema} is not known",
                    hint=f"set CCBRIDGE_PROBE_PASSWORD, or give --password-file\n{set_up(self.schema)}",
                )
            if settings.pdb is not None and self._place.dsn is None:
                raise NotTried(
                    f"where {self.schema} logs in is not known: dsn names the root",
                    hint=f"give the service of {settings.pdb}: --scratch-dsn",
                )
            settings = settings.model_copy(
                update={
                    "user": self.schema,
                    "password": self._place.password,
                    "password_file": None,
                    "dsn": self._place.dsn or settings.dsn,
                    "pdb": None,
                }
            )
        connection = connect(settings, module="ccbridge probe")
        connection.call_timeout = max(1_000, int(self._deadline.left_s * 1000))
        connection.client_identifier = "probe"
        return connection

    def require_schema(self) -> None:
        """Refuse a schema that does not exist before anybody tries to log in.

        Raises:
            NotTried: there is none of that name.
        """
        with oracle_errors(self._system), self._seen_by().cursor() as cursor:
            cursor.execute(KNOWN_USER, name=self.schema)
            (count,) = cursor.fetchone()
        if not int(count):
            raise NotTried(f"there is no schema {self.schema}", hint=set_up(self.schema))

    @contextmanager
    def opened(self, progress: Progress) -> Iterator[None]:
        """Make the tables; drop them when the block ends, however it ends.

        Raises:
            OperatorError: the schema has tables of these names that no probe made.
            NotTried, CcbridgeError: it cannot be used.
        """
        self.connection = self.login()
        try:
            self._refuse_others(self.connection)
            progress("making the test tables")
            self._touched = True
            self._drop_ours(self.connection)
            for table in TABLES:
                self._create(table)
            if STEP in self.missing:
                raise self.missing[STEP]
            self.describe([table for table in TABLES if table.replayed])
            yield
        finally:
            self.close(progress)

    def close(self, progress: Progress) -> None:
        """Drop the tables of the probe; safe to call twice."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(oracledb.Error):
                connection.close()
        if not self._touched:
            return
        self._touched = False
        progress("dropping the test tables")
        cleaner = self.login()
        try:
            cleaner.call_timeout = CLEAN_UP_S * 1000
            self._drop_ours(cleaner)
            if self._in_statement:  # the server may still have been making a table
                time.sleep(IN_FLIGHT_S)
                self._drop_ours(cleaner)
        finally:
            cleaner.close()

    # -- tables --------------------------------------------------------------------------------

    def _marked(self, connection: oracledb.Connection) -> dict[str, bool]:
        names = {table.name for table in TABLES}
        with oracle_errors(self._system), connection.cursor() as cursor:
            cursor.execute(OURS, owner=self.schema)
            return {
                name: comment == MADE_BY or name in self._made for name, comment in cursor if name in names
            }

    def _refuse_others(self, connection: oracledb.Connection) -> None:
        others = sorted(name for name, ours in self._marked(connection).items() if not ours)
        if others:
            raise OperatorError(
                f"{self._system}: schema {self.schema} has tables that no probe made: {', '.join(others)}",
                hint="name another scratch schema, or drop them if they are not needed",
            )

    def _create(self, table: ScratchTable) -> None:
        statements = [table.create, f"comment on table {table.name} is '{MADE_BY}'"]
        if not table.temporary:
            statements.append(f"alter table {table.name} add supplemental log data (all) columns")
        if not self.own:
            # the owner's own grants: the bridge reads these tables as it reads captured ones
            name = TableName(self.schema, table.name)
            statements += [grant.removesuffix(";") for grant in table_grants([name], self._settings.user)]
        self._made.add(table.name)
        for statement in statements:
            try:
                self.run(statement)
            except NotTried as exc:
                if statement is statements[0] or table.replayed:
                    self.missing[table.name] = exc
                    return

    def describe(self, tables: Sequence[ScratchTable]) -> None:
        """Look at tables as the bridge sees them."""
        names = [TableName(self.schema, table.name) for table in tables if table.name not in self.missing]
        found = captured_tables(self._seen_by(), names, self._system)
        self.described.update({name.name: table for name, table in found.items()})

    def _drop_ours(self, connection: oracledb.Connection) -> None:
        deadline = time.monotonic() + CLEAN_UP_S
        for name in sorted(name for name, ours in self._marked(connection).items() if ours):
            while True:
                try:
                    with connection.cursor() as cursor:
                        cursor.execute(f"drop table {quoted(TableName(self.schema, name))} purge")
                    break
                except oracledb.DatabaseError as exc:
                    if ora_code(exc) == _NO_TABLE:
                        break
                    # a session that was cut off holds its locks until the server has noticed
                    if ora_code(exc) != BUSY or time.monotonic() > deadline:
                        raise translated(exc, f"{self._system}: {name}") from exc
                    time.sleep(0.2)

    # -- statements ----------------------------------------------------------------------------

    def run(self, statement: str, rows: Sequence[Sequence[object]] | None = None) -> list[tuple[object, ...]]:
        """Run a statement.

        Raises:
            NotTried: it failed.
            DatabaseUnreachable: the session was lost.
        """
        self._in_statement = True
        try:
            found = self._fetched(statement, rows)
        except oracledb.DatabaseError as exc:
            code = ora_code(exc)
            error = translated(exc, self._system)
            if not code or isinstance(error, DatabaseUnreachable):
                raise error from exc
            self._in_statement = False
            raise NotTried(str(exc).splitlines()[0], hint=self._hint(code, error)) from exc
        self._in_statement = False
        return found

    def _fetched(self, statement: str, rows: Sequence[Sequence[object]] | None) -> list[tuple[object, ...]]:
        with self.session.cursor() as cursor:
            if rows is None:
                cursor.execute(statement)
            else:
                cursor.executemany(statement, [list(row) for row in rows])
            return cursor.fetchall() if cursor.description else []

    def _hint(self, code: int, error: CcbridgeError) -> str:
        if code in NOT_GRANTED or isinstance(error, NotGranted):
            return f"grant create table to {self.schema};"
        if code in NO_QUOTA:
            return f"alter user {self.schema} quota 100m on <its default tablespace>;"
        return ""

    def rollback(self) -> None:
        """Undo the open transaction."""
        with oracle_errors(self._system):
            self.session.rollback()

    @property
    def session(self) -> oracledb.Connection:
        """The open session of the schema's owner.

        Raises:
            NotTried: there is none.
        """
        if self.connection is None:
            raise NotTried(f"the schema {self.schema} is not open")
        return self.connection
