"""Verdicts on what pgoutput shows: a test table in a scratch schema, a temporary slot, its messages.

The table, the publication and the slot are dropped at the end; the slot goes with its session whatever
happens.

Source: PostgreSQL 17 documentation, "Logical Replication Message Formats".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
from psycopg import sql

from cdc.assumptions import Check, NotTried, Said, judge
from cdc.errors import OperatorError
from cdc.postgres.connect import Connection

TABLE = "ccbp_probe"
MADE_BY = "made by ccbridge probe, dropped at its end"
PATIENCE = "15s"
LARGE = "(select string_agg(md5(i::text), '') from generate_series(1, 600) i)"
"""Some 19,000 characters."""
CHANGES = """
select data from pg_logical_slot_{verb}_binary_changes('ccbp_probe', null, null, 'proto_version', '1',
    'publication_names', 'ccbp_probe', 'messages', '{messages}')"""

Decoded = list[bytes]

STEPS: dict[str, tuple[str, ...]] = {
    "plain": ("insert into {t} values (1, 'one', {large}), (2, 'two', {large})",),
    "key": ("update {t} set id = 10 where id = 1",),
    "toast": ("update {t} set n = 'changed' where id = 2",),
    "undone": (
        "insert into {t} values (3, 'kept', null)",
        "savepoint s",
        "insert into {t} values (4, 'undone', null)",
        "rollback to savepoint s",
    ),
    "delete": ("delete from {t} where id = 3",),
    "message": ("select pg_logical_emit_message(true, 'ccbp', 'probe')",),
    "full": ("alter table {t} replica identity full", "update {t} set n = 'full' where id = 2"),
    "truncate": ("truncate {t}",),
}


@dataclass(frozen=True)
class Update:
    """An update message: what came before the new row (`K` key, `O` old row, '' none), and column kinds."""

    old: str
    old_kinds: str
    new_kinds: str


class DecodingChecks:
    """Checks on decoded changes.

    Args:
        session: as the reader opens it.
        schema: an existing schema in which the role may create; None where the DBA named none.
    """

    def __init__(self, session: Connection, schema: str | None) -> None:
        self._session, self._schema = session, schema
        self._seen: dict[str, Decoded] = {}
        self._silent: Decoded = []
        self._stopped: NotTried | None = None
        self._ours = False

    @contextmanager
    def made(self) -> Iterator[None]:
        """Make table, publication and slot, change the table, and take what is decoded.

        Raises:
            OperatorError: the schema has a table of that name that no probe made.
        """
        try:
            self._make()
            yield
        finally:
            self._drop()

    def _make(self) -> None:
        if self._schema is None:
            self._stopped = NotTried(
                "no scratch schema was named",
                hint="create schema ccbprobe authorization <the role>; then: --scratch ccbprobe",
            )
            return
        self._refuse_others()
        self._drop()
        try:
            self._run("set statement_timeout = " + sql.Literal(PATIENCE).as_string())
            with self._session.transaction():
                self._run("create table {t} (id int primary key, n text, large text)")
                self._run("alter table {t} alter large set storage external")
                self._run("comment on table {t} is " + sql.Literal(MADE_BY).as_string())
            self._run("create publication ccbp_probe for table {t}")
            # waits for transactions that are open now
            self._run("select pg_create_logical_replication_slot('ccbp_probe', 'pgoutput', true)")
            for name, statements in STEPS.items():
                with self._session.transaction():
                    for statement in statements:
                        self._run(statement)
                if name == "message":
                    self._silent = self._peek(messages=False)
                self._seen[name] = self._take()
        except psycopg.Error as exc:
            text = (exc.diag.message_primary or type(exc).__name__) + f" (SQLSTATE {exc.sqlstate})"
            self._stopped = NotTried(text, hint=_hint(exc, self._schema))
        finally:
            with suppress(psycopg.Error):
                self._run("set statement_timeout = 0")

    def _refuse_others(self) -> None:
        row = self._session.execute(
            "select obj_description(c.oid) from pg_class c join pg_namespace n on n.oid = c.relnamespace "
            "where n.nspname = %s and c.relname = %s",
            [self._schema, TABLE],
        ).fetchone()
        if row is not None and row[0] != MADE_BY:
            raise OperatorError(
                f"schema {self._schema} has a table {TABLE} that no probe made",
                hint="name another scratch schema, or drop it if it is not needed",
            )
        self._ours = True

    def _drop(self) -> None:
        if self._schema is None or not self._ours:
            return
        for statement in (
            "select pg_drop_replication_slot('ccbp_probe') from pg_replication_slots "
            "where slot_name = 'ccbp_probe' and temporary and active_pid = pg_backend_pid()",
            "drop publication if exists ccbp_probe",
            "drop table if exists {t}",
        ):
            with suppress(psycopg.Error):
                self._run(statement)

    def _run(self, statement: str) -> list[tuple[object, ...]]:
        text = statement.replace("{t}", sql.Identifier(str(self._schema), TABLE).as_string())
        cursor = self._session.execute(text.replace("{large}", LARGE).encode())
        return cursor.fetchall() if cursor.description else []

    def _peek(self, *, messages: bool) -> Decoded:
        return self._changes("peek", messages=messages)

    def _take(self) -> Decoded:
        return self._changes("get", messages=True)

    def _changes(self, verb: str, *, messages: bool) -> Decoded:
        rows = self._run(CHANGES.format(verb=verb, messages=str(messages).lower()))
        return [bytes(row[0]) for row in rows]  # type: ignore[call-overload]

    @property
    def checks(self) -> dict[str, Check]:
        """Each check by the name of its assumption."""
        return {
            "decoding": lambda: self._kinds_are("plain", "BRIIC"),
            "key-update": lambda: self._updates_are("key", lambda one: one.old == "K"),
            "delete-key": self._delete_key,
            "unchanged-toast": lambda: self._updates_are(
                "toast", lambda one: one.old == "" and one.new_kinds == "ttu"
            ),
            "full-identity": lambda: self._updates_are(
                "full", lambda one: one.old == "O" and one.old_kinds == "ttt"
            ),
            "truncate": lambda: self._kinds_are("truncate", "BTC", without="R"),
            "rolled-back": lambda: self._kinds_are("undone", "BIC", without="R"),
            "logical-messages": self._logical_messages,
        }

    def _messages(self, step: str) -> Decoded:
        if self._stopped is not None:
            raise self._stopped
        return self._seen[step]

    def _kinds_are(self, step: str, expected: str, *, without: str = "") -> Said:
        kinds = "".join(chr(message[0]) for message in self._messages(step))
        return judge("".join(kind for kind in kinds if kind not in without) == expected, f"messages {kinds}")

    def _updates_are(self, step: str, right: Callable[[Update], bool]) -> Said:
        updates = [read_update(message) for message in self._messages(step) if message[:1] == b"U"]
        shown = "; ".join(f"old {one.old or 'none'} {one.old_kinds}, new {one.new_kinds}" for one in updates)
        return judge(len(updates) == 1 and right(updates[0]), shown or "no update")

    def _delete_key(self) -> Said:
        kinds = [chr(message[5]) for message in self._messages("delete") if message[:1] == b"D"]
        return judge(kinds == ["K"], f"old row sent as {kinds}")

    def _logical_messages(self) -> Said:
        asked = sum(message[:1] == b"M" for message in self._messages("message"))
        silent = sum(message[:1] == b"M" for message in self._silent)
        return judge((asked, silent) == (1, 0), f"{asked} where asked for, {silent} where not")


def read_update(message: bytes) -> Update:
    """The form of an update message."""
    at, old, old_kinds = 5, "", ""
    if message[at : at + 1] in (b"K", b"O"):
        old = chr(message[at])
        old_kinds, at = _kinds(message, at + 1)
    new_kinds, _ = _kinds(message, at + 1)
    return Update(old, old_kinds, new_kinds)


def _kinds(message: bytes, at: int) -> tuple[str, int]:
    """Kinds of a tuple's columns: n null, u unchanged, t text; and where it ends."""
    count = int.from_bytes(message[at : at + 2])
    at += 2
    kinds = ""
    for _ in range(count):
        kind = chr(message[at])
        kinds, at = kinds + kind, at + 1
        if kind in "tb":
            at += 4 + int.from_bytes(message[at : at + 4])
    return kinds, at


def _hint(exc: psycopg.Error, schema: str | None) -> str:
    if exc.sqlstate == "3F000":
        return f"create schema {schema} authorization <the role>;"
    if exc.sqlstate == "42501":
        return (
            f"grant create on schema {schema} to <the role>;\n"
            "grant create on database <this one> to <the role>;\nalter role <the role> replication;"
        )
    if exc.sqlstate == "57014":
        return "end transactions that are open for long: a slot waits for them"
    return ""
