"""Random histories of two Oracle tables, and what must come of them: a plain model without a database.

A history is a list of steps. `Model.apply` says what SQL a step is and what it does to the committed
rows, so any part of a history is a history too, and a failing one can be made small. Sessions never wait
for one another: a step that touches a key another open transaction has touched does nothing.
Read next: `redo_world`, which runs the steps.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

Key = tuple[str, ...]
Row = dict[str, str | None]
Place = tuple[str, Key]

SESSIONS = 3
SHOWN = 600
ACCT, ITEM = "ACCT", "ITEM"
KEYS: Mapping[str, tuple[str, ...]] = {ACCT: ("ID",), ITEM: ("CODE", "LINE")}
COLUMNS: Mapping[str, tuple[str, ...]] = {
    ACCT: ("ID", "NAME", "AMOUNT", "NOTE", "MADE", "MEMO", "DATA_AREA"),
    ITEM: ("CODE", "LINE", "LABEL", "QTY"),
}
LARGE = frozenset({"MEMO", "DATA_AREA"})
"""CLOBs of ACCT: a rule reads MEMO, none reads DATA_AREA."""
SPARE = "SPARE"
"""A column of ITEM with a default, which no rule reads and a step removes."""
NUMBERS = frozenset({"ID", "AMOUNT", "LINE", "QTY"})
DATES = frozenset({"MADE"})
CREATE = {
    ACCT: "create table {owner}.ACCT (id number(10) primary key, name varchar2(60), "
    "aside varchar2(9) default 'it''s' invisible, amount number(15,2), "
    "note varchar2(4000), made date, memo clob, data_area clob)",
    ITEM: "create table {owner}.ITEM (code varchar2(8), aside date default date '2024-02-29' invisible, "
    "line number(5), label varchar2(60), qty number, spare number default 7, "
    "constraint {owner}_ITEM_PK primary key (code, line))",
}
NAMES = (
    None,
    "Ada",
    "O'Brien",
    "d''Arc",
    " ",
    "N'Djaména",
    "😀 𝔘",
    "a\\b",
    "x = 'y' and \"Z\" IS NULL;",
    "NULL",
)
LOBS = (None, "in the row", "d''Arc", "zAb" + "Ab" * 2_100, "yÇ" + "eÇ" * 2_000)
MOST_IN_SQL = 100
AMOUNTS = (None, "0", "-0.01", "1234.5", "9999999999999.99", "0.1")
QUANTITIES = (None, "3", "-12345678901234567890.123456789", "0.000001", "100000000000000000000")
DAYS = (None, "1999-12-31 23:59:59", "2024-02-29 00:00:00", "0001-01-01 00:00:00")
END = ("999999999",)
"""Key of the row whose arrival tells that everything was read."""


@dataclass(frozen=True)
class Step:
    """One step: what is done, in which session, to which keys, with which values."""

    kind: str
    session: int = 0
    table: str = ACCT
    keys: tuple[Key, ...] = ()
    values: tuple[tuple[str, str | None], ...] = ()
    number: int = 0
    word: str = ""

    def __str__(self) -> str:
        parts = [
            f"{name}={short(repr(value))}" for name, value in vars(self).items() if value not in ((), 0, "")
        ]
        return " ".join([self.kind, *parts[1:]])


@dataclass(frozen=True)
class Change:
    """One change a committed transaction made; `statement` tells changes of one statement apart."""

    statement: int
    table: str
    operation: str
    before: Row | None
    after: Row | None


@dataclass
class _Work:
    """An open transaction."""

    rows: dict[Place, Row | None] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    touched: set[Place] = field(default_factory=set)
    savepoints: dict[str, tuple[dict[Place, Row | None], int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sql:
    """A statement and whether it must fail."""

    text: str
    fails: bool = False


class Model:
    """The committed rows, the open work, and the committed changes in commit order."""

    def __init__(self) -> None:
        self.rows: dict[Place, Row] = {}
        self.log: list[list[Change]] = []
        self.ever: set[Place] = set()
        self.loaded: set[Place] = set()
        self.extra: list[str] = []
        self.may_stop: set[str] = set()
        self._work = [_Work() for _ in range(SESSIONS)]
        self._statements = 0

    # -- what is there -------------------------------------------------------------------------

    def columns(self, table: str) -> tuple[str, ...]:
        """Columns of a table now."""
        return (*COLUMNS[table], *(self.extra if table == ACCT else ()))

    def seen(self, session: int, place: Place) -> Row | None:
        """A row as a session sees it."""
        work = self._work[session]
        return work.rows[place] if place in work.rows else self.rows.get(place)

    def is_free(self, session: int, places: Sequence[Place]) -> bool:
        """True if no other open transaction has touched any of these keys."""
        others = (work for number, work in enumerate(self._work) if number != session)
        return all(place not in work.touched for work in others for place in places)

    def is_idle(self, session: int, table: str) -> bool:
        """True if the open transaction of a session, if any, has not touched a table."""
        return all(name != table for name, _ in self._work[session].touched)

    def add_column(self, name: str) -> None:
        """A new column of ACCT, NULL in all rows."""
        self.extra.append(name)
        self.rows = {
            place: {**row, name: None} if place[0] == ACCT else row for place, row in self.rows.items()
        }

    def snapshot(self) -> None:
        """What is committed now is read by a snapshot: the log begins here."""
        self.log, self.ever, self.loaded = [], set(self.rows), set(self.rows)

    # -- steps ---------------------------------------------------------------------------------

    def apply(self, step: Step) -> list[Sql]:
        """Do a step of a writing session; the SQL that does it, none if it cannot be done now."""
        work = self._work[step.session]
        if step.kind == "commit":
            self._commit(work)
            self._work[step.session] = _Work()
            return [Sql("commit")]
        if step.kind == "rollback":
            self._work[step.session] = _Work()
            return [Sql("rollback")]
        if step.kind == "savepoint":
            work.savepoints.pop(step.word, None)
            work.savepoints[step.word] = dict(work.rows), len(work.changes)
            return [Sql(f"savepoint {step.word}")]
        if step.kind == "rollback to":
            return self._rollback_to(work, step.word)
        places = [(step.table, key) for key in step.keys]
        if not self.is_free(step.session, places):
            return []
        work.touched.update(places)
        self._statements += 1
        return list(getattr(self, "_" + step.kind)(step))

    def _commit(self, work: _Work) -> None:
        for place, row in work.rows.items():
            if row is None:
                self.rows.pop(place, None)
            else:
                self.rows[place] = row
        self.ever |= {(c.table, key_of(c.table, c.after)) for c in work.changes if c.after is not None}
        if work.changes:
            self.log.append(work.changes)

    def _rollback_to(self, work: _Work, name: str) -> list[Sql]:
        if name not in work.savepoints:
            return []
        rows, count = work.savepoints[name]
        work.rows = dict(rows)
        del work.changes[count:]
        names = list(work.savepoints)
        for later in names[names.index(name) + 1 :]:
            del work.savepoints[later]
        return [Sql(f"rollback to savepoint {name}")]

    def _set(self, session: int, table: str, before: Row | None, after: Row | None) -> None:
        work = self._work[session]
        operation = "c" if before is None else "d" if after is None else "u"
        if before is not None:
            work.rows[table, key_of(table, before)] = None
        if after is not None:
            work.rows[table, key_of(table, after)] = after
        work.changes.append(Change(self._statements, table, operation, before, after))

    def _new_row(self, step: Step, key: Key) -> Row:
        given = {**dict(zip(KEYS[step.table], key, strict=True)), **dict(step.values)}
        return {column: given.get(column) for column in self.columns(step.table)}

    def _insert(self, step: Step) -> Iterator[Sql]:
        row = self._new_row(step, step.keys[0])
        exists = self.seen(step.session, (step.table, step.keys[0])) is not None
        if not exists:
            self._set(step.session, step.table, None, row)
        yield Sql(insert(step.table, row), fails=exists)

    def _update(self, step: Step) -> Iterator[Sql]:
        """Update the rows of some keys, all with the same values."""
        values = {name: value for name, value in step.values if name in self.columns(step.table)}
        found = [row for key in step.keys if (row := self.seen(step.session, (step.table, key))) is not None]
        if any(all(row[name] == values[name] for name in values.keys() - LARGE) for row in found):
            # a LOB that changes alone is a change only where a rule reads it, which the model does not tell
            values = {name: value for name, value in values.items() if name not in LARGE}
        for key in step.keys:
            before = self.seen(step.session, (step.table, key))
            if before is not None:
                self._set(step.session, step.table, before, {**before, **values})
        yield Sql(update(step.table, step.keys, values))

    def _rekey(self, step: Step) -> Iterator[Sql]:
        """Give the row of the first keys the last key; fails when two rows would have it."""
        *sources, target = step.keys
        found = [row for key in sources if (row := self.seen(step.session, (step.table, key))) is not None]
        taken = self.seen(step.session, (step.table, target)) is not None and target not in sources
        fails = len(found) > 1 or (bool(found) and taken)
        new_key = dict(zip(KEYS[step.table], target, strict=True))
        if not fails:
            for before in found:
                self._set(step.session, step.table, before, {**before, **new_key})
        yield Sql(update(step.table, sources, new_key), fails=fails)

    def _delete(self, step: Step) -> Iterator[Sql]:
        for key in step.keys:
            before = self.seen(step.session, (step.table, key))
            if before is not None:
                self._set(step.session, step.table, before, None)
        yield Sql(f"delete from {step.table} where {where(step.table, step.keys)}")

    def _reinsert(self, step: Step) -> Iterator[Sql]:
        yield from self._delete(step)
        self._statements += 1
        yield from self._insert(step)

    def _copy(self, step: Step) -> Iterator[Sql]:
        """Insert copies of two rows of ACCT under ids that are `number` larger; all of them or none."""
        sources = step.keys[: len(step.keys) // 2]
        rows = [row for key in sources if (row := self.seen(step.session, (step.table, key))) is not None]
        copies = [{**row, "ID": str(int(row["ID"] or 0) + step.number)} for row in rows]
        fails = any(
            self.seen(step.session, (step.table, key_of(step.table, copy))) is not None for copy in copies
        )
        if not fails:
            for copy in copies:
                self._set(step.session, step.table, None, copy)
        columns = ", ".join(self.columns(step.table)[1:])
        yield Sql(
            f"insert into {step.table} (ID, {columns}) select ID + {step.number}, {columns} "
            f"from {step.table} where {where(step.table, sources)}",
            fails=fails,
        )

    def _too_long(self, step: Step) -> Iterator[Sql]:
        name = "NAME" if step.table == ACCT else "LABEL"
        found = any(self.seen(step.session, (step.table, key)) is not None for key in step.keys)
        yield Sql(update(step.table, step.keys, {name: "x" * 61}), fails=found)


def short(text: str) -> str:
    """A text without the middle of a long one."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]} ... {text[-SHOWN // 2 :]}"


# -- SQL -----------------------------------------------------------------------------------------


def key_of(table: str, row: Row | None) -> Key:
    """The key of a row."""
    return tuple(str((row or {})[name]) for name in KEYS[table])


def literal(column: str, value: str | None) -> str:
    """A value as SQL."""
    if value is None:
        return "null"
    if column in NUMBERS:
        return value
    if column in LARGE and len(value) > MOST_IN_SQL:
        return f"rpad('{value[:2]}', {len(value)}, '{value[2:4]}')"
    if column in DATES:
        return f"to_date('{value}', 'YYYY-MM-DD HH24:MI:SS')"
    return "'" + value.replace("'", "''") + "'"


def insert(table: str, row: Row) -> str:
    """An insert of a whole row."""
    values = ", ".join(literal(name, value) for name, value in row.items())
    return f"insert into {table} ({', '.join(row)}) values ({values})"


def update(table: str, keys: Sequence[Key], values: Mapping[str, str | None]) -> str:
    """An update of some rows."""
    assignments = ", ".join(f"{name} = {literal(name, value)}" for name, value in values.items())
    return f"update {table} set {assignments} where {where(table, keys)}"


def where(table: str, keys: Sequence[Key]) -> str:
    """A condition for some keys."""
    one = [
        " and ".join(f"{name} = {literal(name, part)}" for name, part in zip(KEYS[table], key, strict=True))
        for key in keys
    ]
    return " or ".join(f"({each})" for each in one)


# -- generation ----------------------------------------------------------------------------------

WRITES = (
    ("insert", 26),
    ("update", 18),
    ("rekey", 6),
    ("delete", 8),
    ("reinsert", 5),
    ("copy", 3),
    ("too_long", 3),
    ("savepoint", 7),
    ("rollback to", 5),
    ("commit", 16),
    ("rollback", 4),
)
OTHERS = (
    ("read", 30),
    ("restart", 6),
    ("lose", 4),
    ("failure", 8),
    ("switch", 8),
    ("column", 3),
    ("thread", 3),
    ("delay", 3),
    ("flush", 3),
    ("share", 3),
    ("kill", 1),
    ("bounce", 2),
    ("unused", 1),
)
FAILURES = (
    "add_disconnect(statement => 'v$logmnr_contents', after_rows => {n}, {who})",
    "add_disconnect(statement => 'start_logmnr', {who})",
    "add_disconnect(statement => 'add_logfile', {who})",
    "add_error(code => 3113, statement => 'v$logmnr_contents', after_rows => {n}, {who})",
    "add_error(code => 28, statement => 'v$thread', {who})",
    "add_error(code => 310, statement => 'v$logmnr_contents', after_rows => {n}, {who})",
    "add_error(code => 1291, statement => 'start_logmnr', {who})",
    "add_error(code => 4036, statement => 'v$logmnr_contents', after_rows => {n}, {who})",
    "add_error(code => 1013, statement => 'v$logmnr_contents', {who})",
    "add_error(code => 600, argument => 'krvrdccs10', statement => 'v$logmnr_contents', {who})",
    "add_error(code => 12514, moment => 'LOGIN', {who})",
)
"""Failures of a reader that pass; the reader starts again after each."""


def history(seed: int, length: int = 75) -> list[Step]:
    """A random history; the same for the same seed."""
    pick = random.Random(seed)  # noqa: S311 - reproducible work, no secret
    steps = [_write(pick) for _ in range(pick.randrange(0, 12))]
    steps.append(Step("snapshot"))
    for _ in range(length):
        steps.append(_write(pick) if pick.random() < 0.75 else _other(pick))
    return steps


def _write(pick: random.Random) -> Step:
    kind = _weighted(pick, WRITES)
    table = ACCT if kind == "copy" or pick.random() < 0.75 else ITEM
    step = Step(kind, pick.randrange(SESSIONS), table)
    if kind in ("savepoint", "rollback to"):
        return replace(step, table=ACCT, word=pick.choice(("S1", "S2")))
    if kind in ("commit", "rollback"):
        return replace(step, table=ACCT)
    keys = pick.sample(range(8), 3)
    count = {"insert": 1, "reinsert": 1, "rekey": pick.choice((2, 2, 3)), "copy": 2}.get(kind, 0)
    keys = keys[: count or pick.choice((1, 1, 3))]
    chosen = tuple(_key(table, key) for key in keys)
    if kind == "copy":
        distance = pick.choice((1, 3, 8))
        moved = tuple((str(int(key[0]) + distance),) for key in chosen)
        return replace(step, keys=chosen + moved, number=distance)
    values = () if kind in ("rekey", "delete", "copy", "too_long") else _values(pick, table)
    if kind == "update" and pick.random() < 0.4:
        values = values[:1]
    return replace(step, keys=chosen, values=values)


def _key(table: str, number: int) -> Key:
    return (str(100 + number),) if table == ACCT else (("a'b", "b", "ü😀")[number % 3], str(number // 3))


def _values(pick: random.Random, table: str) -> tuple[tuple[str, str | None], ...]:
    name = pick.choice(NAMES)
    if table == ITEM:
        return ("LABEL", name), ("QTY", pick.choice(QUANTITIES))
    note = pick.choice((None, "it's", "n" * 30, "'" * 40, "long 'é😀' || " * pick.choice((1, 250))))
    return (
        ("NAME", name),
        ("AMOUNT", pick.choice(AMOUNTS)),
        ("NOTE", note),
        ("MADE", pick.choice(DAYS)),
        ("EXTRA0", name),
        ("EXTRA1", pick.choice(NAMES)),
        ("MEMO", pick.choice(LOBS)),
        ("DATA_AREA", pick.choice(LOBS)),
    )


def _other(pick: random.Random) -> Step:
    kind = _weighted(pick, OTHERS)
    step = Step(kind)
    if kind == "failure":
        return replace(
            step, word=pick.choice(FAILURES).format(n=pick.randrange(12), who="username => 'CCBRIDGE'")
        )
    if kind in ("read", "lose"):
        return replace(step, number=pick.randrange(1, 5))
    if kind == "bounce":
        return replace(step, number=pick.choice((0, 0, 2)))
    if kind == "share":
        return replace(step, number=pick.choice((0, 40)))
    if kind in ("thread", "delay"):
        return replace(step, session=pick.randrange(SESSIONS), number=pick.choice((1, 2)))
    if kind in ("switch", "kill"):
        return replace(step, session=pick.randrange(SESSIONS))
    return step


def _weighted(pick: random.Random, table: Sequence[tuple[str, int]]) -> str:
    return pick.choices([kind for kind, _ in table], [weight for _, weight in table])[0]
