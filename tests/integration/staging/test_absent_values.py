"""Large values that the log leaves out: staging holds what the source holds, or says that it does not know.

Random histories of a real table are captured by the real reader. An update that leaves a large column
alone does not log it, whatever else it does: the row changes its key, enters or leaves `where`, follows
a rejected change, is in the middle of a large transaction.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

import mapping_rules
from cdc.changes import TableName
from cdc.positions import Lsn
from cdc.readers.pgoutput import PgoutputReader
from cdc.staging.batches.stage import Stager
from tests.integration.pgoutput.source import Prepaid
from tests.unit.staging.world import World, staging

FILES = {
    "systems.yaml": "shop: {conventions: plain, schema: public}\n",
    "entities/doc.yaml": (
        "entity: doc\nkey: [doc_id]\ncolumns:\n  doc_id: {type: integer}\n"
        "  amount: {type: decimal, precision: 15, scale: 2}\n  note: {type: text}\n  body: {type: text}\n"
        "  label: {type: text}\n"
    ),
    "entities/latest.yaml": (
        "entity: latest\nkey: [owner]\ncolumns:\n  owner: {type: text}\n  body: {type: text}\n"
    ),
    "inbound/doc.yaml": (
        "system: shop\ntable: doc\nkey: [id]\nentity: doc\nwhere: {status: [open, done]}\ncolumns:\n"
        "  doc_id: id\n  amount: amount\n  note: note\n  body: body\n"
        "  label: {sql: \"CONCAT_WS(':', status, note)\"}\nignore: [owner]\n"
    ),
    "inbound/page.yaml": (
        "system: shop\ntable: page\nkey: [owner, number]\nentity: latest\nwhere: {current: true}\ncolumns:\n"
        "  owner: owner\n  body: body\n"
    ),
}
DOC = (
    "create table doc (id bigint primary key, owner text, status text, amount text, note text, body text)",
    "alter table doc alter note set storage external, alter body set storage external",
)
PAGE = (
    "create table page (owner text, number int, current boolean, body text, primary key (owner, number))",
    "alter table page alter body set storage external",
)
IDENTITIES = {
    "default": "alter table doc replica identity default",
    "full": "alter table doc replica identity full",
    "index": "alter table doc replica identity using index doc_pkey",
}


@dataclass
class Capture:
    """A source, its reader, and staging."""

    prepaid: Prepaid
    world: World
    reader: PgoutputReader
    stager: Stager
    max_changes: int = 1_000
    markers: int = 0
    parts: int = 0
    """Batches with changes of doc that the last `catch_up` read."""

    def __post_init__(self) -> None:
        self.stager.mapper.ask_source = self.reader.reread
        for batch in self.reader.snapshot(max_rows=100, stop=lambda: False):
            self.stager.stage(batch)
        self.stager.snapshot_completed()

    def catch_up(self) -> None:
        """Stage everything that is committed in the source."""
        self.markers += 1
        self.prepaid.execute(f"insert into page values ('marker', {self.markers}, false, null)")
        end = Lsn.parse(str(self.prepaid.value("select pg_current_wal_insert_lsn()::text")))
        self.parts = 0
        stored = self.stager.resume()
        assert stored is not None
        reached = [stored.position]
        stream = self.reader.read(
            stored.resume, max_changes=self.max_changes, stop=lambda: reached[-1] >= end - 1
        )
        for batch in stream:
            self.parts += TableName("public", "doc") in batch.tables
            self.stager.stage(batch)
            if not batch.continues:
                reached.append(int(Lsn.parse(batch.resume["lsn"])))

    def docs(self) -> dict[int, tuple[Any, ...]]:
        """Live rows of the entity."""
        rows = self.world.query(
            "select doc_id, amount, note, body, label from staging.doc where not tombstone"
        )
        return {key: tuple(rest) for key, *rest in rows}

    def letters(self) -> list[tuple[Any, ...]]:
        """Open dead letters: source key and reason."""
        return self.world.query(
            "select (key ->> 'id')::bigint, reason_code from staging.dead_letter where resolved_at is null"
        )


@pytest.fixture
def capture(database: str) -> Iterator[Capture]:
    rules = mapping_rules.from_files("shop", FILES)
    prepaid = Prepaid(database)
    prepaid.execute(*DOC, *PAGE)
    prepaid.publish("doc", "page")
    with staging(database, rules) as world:
        yield Capture(prepaid, world, prepaid.reader("doc", "page"), world.stager())
        prepaid.close()


def big(text: str) -> str:
    """A text that is stored outside its row."""
    return text + "." * 3_000


def insert(key: int, *, status: str = "open", amount: str = "1", text: str = "a") -> str:
    value = big(text)
    return f"insert into doc values ({key}, 'o', '{status}', '{amount}', '{value}', '{value}')"


def staged(
    status: str = "open", amount: str = "1", text: str = "a", body: str | None = None
) -> tuple[Any, ...]:
    return Decimal(amount), big(text), big(body or text), f"{status}:{big(text)}"


CASES: dict[str, tuple[tuple[tuple[str, ...], ...], dict[int, tuple[Any, ...]]]] = {
    # name: transactions, each read before the next one is written; live rows at the end
    "key changed, one transaction": ((("insert 1", "update doc set id = 2"),), {2: staged()}),
    "key changed twice, one transaction": (
        (("insert 1",), ("update doc set id = 2", "update doc set id = 3")),
        {3: staged()},
    ),
    "keys swapped": (
        (
            ("insert 1", "insert 2 b"),
            (
                "update doc set id = 9 where id = 1",
                "update doc set id = 1 where id = 2",
                "update doc set id = 2 where id = 9",
            ),
        ),
        {1: staged(text="b"), 2: staged()},
    ),
    "key changed, then one column": (
        (("insert 1",), ("update doc set id = 2",), ("update doc set amount = 2",)),
        {2: staged(amount="2")},
    ),
    "key reused after a delete": (
        (("insert 1",), ("delete from doc", "insert 1 b", "update doc set amount = 3")),
        {1: staged(amount="3", text="b")},
    ),
    "key moved onto a deleted one": (
        (("insert 1", "insert 2 b"), ("delete from doc where id = 1", "update doc set id = 1 where id = 2")),
        {1: staged(text="b")},
    ),
    "starts to match": (
        (("insert 1 new",), ("update doc set status = 'done'",)),
        {1: staged("done")},
    ),
    "starts to match and moves": (
        (("insert 1 new",), ("update doc set status = 'done', id = 5",)),
        {5: staged("done")},
    ),
    "changed while it did not match": (
        (
            ("insert 1",),
            ("update doc set status = 'new'",),
            ("update doc set note = 'B', body = 'C'",),
            ("update doc set status = 'done'",),
        ),
        {1: (Decimal(1), "B", "C", "done:B")},
    ),
    "changed while it did not match, large": (
        (
            ("insert 1",),
            ("update doc set status = 'new'",),
            ("update doc set note = 'BIG b', body = 'BIG c'",),
            ("update doc set status = 'done'",),
        ),
        {1: staged("done", text="b", body="c")},
    ),
    "the same in one transaction": (
        (
            ("insert 1",),
            (
                "update doc set status = 'new'",
                "update doc set note = 'BIG b', body = 'BIG c'",
                "update doc set status = 'done'",
            ),
        ),
        {1: staged("done", text="b", body="c")},
    ),
    "after a rejected insert": (
        (("insert 1 bad",), ("update doc set amount = 2",)),
        {1: staged(amount="2")},
    ),
    "after a rejected update": (
        (("insert 1",), ("update doc set amount = 'bad', note = 'BIG b'",), ("update doc set amount = 2",)),
        {1: staged(amount="2", text="b", body="a")},
    ),
    "after a rejected update, one transaction": (
        (("insert 1",), ("update doc set amount = 'bad', note = 'BIG b'", "update doc set amount = 2")),
        {1: staged(amount="2", text="b", body="a")},
    ),
    "an expression over a column that is logged and one that is not": (
        (("insert 1",), ("update doc set status = 'done'",)),
        {1: staged("done")},
    ),
    "rejected, then moved": (
        (("insert 1 bad",), ("update doc set id = 4",), ("update doc set amount = 2",)),
        {4: staged(amount="2")},
    ),
    "known, then rejected with another value": (
        (
            ("insert 1",),
            (
                "update doc set note = 'BIG b', body = 'BIG b'",
                "update doc set amount = 'bad', note = 'BIG c'",
                "update doc set amount = 2",
            ),
        ),
        {1: staged(amount="2", text="c", body="b")},
    ),
    "changed, then moved": (
        (("insert 1",), ("update doc set note = 'BIG b'", "update doc set id = 2")),
        {2: staged(text="b", body="a")},
    ),
    "one column changed, one left alone, then moved": (
        (
            ("insert 1 new",),
            ("update doc set status = 'done', note = 'BIG b'", "update doc set id = 2, amount = 2"),
        ),
        {2: staged("done", amount="2", text="b", body="a")},
    ),
}


def statement(text: str) -> str:
    """`insert KEY [TEXT | new | bad]`, `BIG x` for a large text, or SQL."""
    words = text.split()
    if words[0] == "insert":
        more = words[2] if len(words) > 2 else "a"
        options: dict[str, str] = {"new": {"status": "new"}, "bad": {"amount": "bad"}}.get(
            more, {"text": more}
        )
        return insert(int(words[1]), **options)
    for letter in "bc":
        text = text.replace(f"BIG {letter}", big(letter))
    return text


@pytest.mark.parametrize("slices", [1_000, 1], ids=["whole", "in slices"])
@pytest.mark.parametrize(
    "at_once",
    [pytest.param(False, marks=pytest.mark.slow, id="step by step"), pytest.param(True, id="all behind")],
)
def test_large_values_that_were_left_alone_are_staged(
    capture: Capture, *, at_once: bool, slices: int
) -> None:
    """Whatever became of the row meanwhile: never NULL, never the value of another time or row."""
    capture.max_changes = slices
    for name, (transactions, expected) in CASES.items():
        capture.prepaid.execute("delete from doc")
        for transaction in transactions:
            capture.prepaid.transaction(*map(statement, transaction))
            if not at_once:
                capture.catch_up()
        capture.catch_up()
        assert capture.docs() == expected, name
        assert capture.letters() == [], name


def test_rows_that_share_an_entity_key_do_not_take_each_others_values(capture: Capture) -> None:
    """The page that becomes the current one has a body of its own."""
    one, two = big("one"), big("two")
    capture.prepaid.execute(f"insert into page values ('o', 1, true, '{one}'), ('o', 2, false, '{two}')")
    capture.catch_up()
    for first, second in ((1, 2), (2, 1)):
        capture.prepaid.transaction(
            f"update page set current = false where number = {first} and owner = 'o'",
            f"update page set current = true where number = {second} and owner = 'o'",
        )
        capture.catch_up()
        rows = capture.world.query("select owner, body from staging.latest where not tombstone")
        assert rows == [("o", two if second == 2 else one)]


def test_a_value_no_one_can_tell_is_a_dead_letter_and_is_settled_by_the_next_whole_row(
    capture: Capture,
) -> None:
    """Without the right to read the row again its key waits; everything else flows."""
    capture.stager.mapper.ask_source = None
    capture.prepaid.execute(statement("insert 1 new"), statement("insert 2"))
    capture.prepaid.execute("update doc set status = 'done'")
    capture.catch_up()
    assert capture.docs() == {2: staged()}
    assert sorted(capture.letters()) == [(1, "value_not_in_log"), (2, "value_not_in_log")]
    capture.prepaid.execute("update doc set note = note || '!', body = body || '!'")
    capture.catch_up()
    assert capture.letters() == []
    assert set(capture.docs()) == {1, 2}


LATER: dict[str, tuple[str, bool]] = {
    # what comes behind a change whose values no one can tell; is anything of it known in the end?
    "deleted": ("delete from doc", True),
    "does not match any more": ("update doc set status = 'new'", True),
    "whole": ("update doc set note = 'B', body = 'C'", True),
    "whole under another key": ("update doc set id = 7, note = 'B', body = 'C'", True),
    "another column": ("update doc set amount = 2", False),
    "another key": ("update doc set id = 7", False),
}


@pytest.mark.parametrize("in_one", [pytest.param("transaction", marks=pytest.mark.slow), "batch", "slices"])
@pytest.mark.parametrize("later", LATER)
def test_a_version_that_the_batch_replaces_needs_no_values(capture: Capture, later: str, in_one: str) -> None:
    """Nothing is rejected for what is over already; what stays unknown is rejected, never NULL."""
    text, is_known = LATER[later]
    capture.stager.mapper.ask_source = None
    capture.prepaid.execute(statement("insert 1 new"))
    capture.catch_up()
    if in_one == "slices":
        capture.max_changes = 1
    changes = "update doc set status = 'done'", text
    for transaction in [[one] for one in changes] if in_one == "batch" else [changes]:
        capture.prepaid.transaction(*transaction)
    capture.catch_up()
    unknown = [] if is_known else ["value_not_in_log"]
    assert [reason for _, reason in capture.letters()] == unknown
    assert capture.parts == 1 or in_one != "transaction"
    if capture.parts == 1:  # two transactions may come in two batches on a busy machine
        everything = capture.world.query("select reason_code from staging.dead_letter")
        assert everything == [(reason,) for reason in unknown], "settled ones too"
    expected = {"whole": 1, "whole under another key": 7}.get(later)
    assert capture.docs() == ({} if expected is None else {expected: (Decimal(1), "B", "C", "done:B")})


def history(rng: random.Random, transactions: int) -> Iterator[list[str]]:
    """Random transactions over few keys, so that keys meet again."""
    for _ in range(transactions):
        statements = []
        for _ in range(rng.choice((1, 1, 2, 3, 12))):
            key, other = rng.randint(1, 8), rng.randint(1, 8)
            status, amount = rng.choice(("open", "done", "new")), rng.choice(("1", "2.50", "bad"))
            text = rng.choice(("small", big(rng.choice("abcdef")), big(rng.choice("ghijk"))))
            body = "null" if rng.random() < 0.1 else f"'{text}'"
            statements.append(
                rng.choice(
                    (
                        f"insert into doc values ({key}, 'o', '{status}', '{amount}', '{text}', {body}) "
                        "on conflict do nothing",
                        f"update doc set status = '{status}' where id = {key}",
                        f"update doc set amount = '{amount}' where id = {key}",
                        f"update doc set note = '{text}' where id = {key}",
                        f"update doc set body = {body}, status = '{status}' where id = {key}",
                        f"update doc set id = {other} where id = {key} "
                        f"and not exists (select from doc d where d.id = {other})",
                        f"update doc set id = {other}, amount = '{amount}' where id = {key} "
                        f"and not exists (select from doc d where d.id = {other})",
                        f"delete from doc where id = {key}",
                    )
                )
            )
        yield statements


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 20))])
@pytest.mark.parametrize("identity", IDENTITIES)
def test_any_history_ends_with_the_sources_values(capture: Capture, identity: str, seed: int) -> None:
    """Read at once or far behind, whole or in slices, under each replica identity that has the key."""
    rng = random.Random(f"{seed} {identity}")  # noqa: S311 - a history, no secret
    capture.prepaid.execute(IDENTITIES[identity])
    capture.max_changes = rng.choice((1, 5, 1_000))
    for number, statements in enumerate(history(rng, 60)):
        capture.prepaid.transaction(*statements)
        if rng.random() < 0.2:
            capture.catch_up()
        if number == 30 and identity == "default" and seed % 2:
            capture.prepaid.execute(IDENTITIES["full"])
    capture.catch_up()
    source = capture.prepaid.connection.execute(
        "select id, amount, note, body, status || ':' || note from doc where status in ('open', 'done')"
    ).fetchall()
    waiting = {key for key, _ in capture.letters()}
    good = {key: (Decimal(amount), *rest) for key, amount, *rest in source if amount != "bad"}
    assert {reason for _, reason in capture.letters()} <= {"not_a_number"}
    assert waiting >= {key for key, amount, *_ in source if amount == "bad"}
    found = capture.docs()
    assert {key: found.get(key) for key in good} == good
    assert set(found) <= set(good) | waiting
