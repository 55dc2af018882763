"""Large columns all the way: random work on LOBs ends in staging and target as the source has it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oracledb
import pytest

import mapping_rules
from cdc.config import OracleSystem
from cdc.postgres.connect import connect
from cdc.readers.logminer import LogMinerReader
from cdc.staging.batches.stage import Stager
from cdc.staging.desired import desired_rows, high_staged_seq
from tests.contract.logminer_source import BRIDGE, SECRET, needs_stand_in, oracle_server, system_session
from tests.integration.sinks.upsert_target import Target, target_database
from tests.unit.staging.world import World, staging

OWNER, SYSTEM = "PAPER", "bill"
NO_ROW, NO_LOB = 1403, 22275
LOBS = ("NOTE", "BYTES", "TEXT")
COLUMNS = (
    "id number(9) primary key, kind varchar2(9), note clob, bytes blob, text varchar2(32767), unread clob"
)
RULES = {
    "systems.yaml": (
        f"{SYSTEM}: {{conventions: plain, schema: {OWNER}}}\ntill: {{conventions: plain, schema: public}}\n"
    ),
    "entities/doc.yaml": (
        "entity: doc\nkey: [doc_id]\ncolumns:\n  doc_id: {type: text}\n  kind: {type: text}\n"
        "  note: {type: text}\n  bytes: {type: text}\n  body: {type: text}\n"
    ),
    "inbound/doc.yaml": (
        f"system: {SYSTEM}\ntable: DOC\nkey: [ID]\nentity: doc\nwhere: {{KIND: [a, b]}}\n"
        "columns: {doc_id: ID, kind: KIND, note: NOTE, bytes: BYTES, body: TEXT}\n"
    ),
    "outbound/doc.yaml": (
        "to: till\ntable: public.doc\nsink: upsert\nkey: {doc_id: doc.doc_id}\nfrom: doc\n"
        "columns: {kind: doc.kind, note: doc.note, bytes: doc.bytes, body: doc.body}\non_delete: delete\n"
    ),
}
SOURCE = "select to_char(id), kind, note, bytes, text from doc where kind in ('a', 'b') order by 1"
ROWS = 'select doc_id, kind, note, bytes, body from {} order by doc_id collate "C"'


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    needs_stand_in()
    with oracle_server(tmp_path_factory.mktemp("oracle")) as dsn:
        with system_session(dsn) as cursor:
            cursor.execute("alter system set max_string_size = extended")
            cursor.execute(f'create user {OWNER} identified by "{SECRET}"')
            cursor.execute(f"grant create session to {OWNER}")
        yield dsn


class Writer:
    """An application that changes LOBs in every way it can."""

    def __init__(self, connection: oracledb.Connection, pick: random.Random) -> None:
        self.connection, self.pick = connection, pick

    def execute(self, statement: str, *binds: object) -> None:
        with self.connection.cursor() as cursor:
            types = [oracledb.DB_TYPE_BLOB if isinstance(bind, bytes) else None for bind in binds]
            cursor.setinputsizes(*types) if any(types) else None
            cursor.execute(statement, binds)

    def text(self) -> str | None:
        size = self.pick.choice((0, 0, 18, 2_500, 4_500, 60_000))
        return "😀" + "".join(self.pick.choices("abc'\"é\n ,", k=size)) if self.pick.random() < 0.9 else None

    def bytes(self) -> bytes | None:
        return self.pick.randbytes(self.pick.choice((0, 3, 1_990, 9_000))) or None

    def string(self) -> str | None:
        return "".join(self.pick.choices("xyz'é", k=self.pick.choice((0, 9, 1_500, 9_000)))) or None

    def key(self) -> int:
        return self.pick.randrange(12)

    def step(self) -> None:
        """One statement, which may find no row or an existing one."""
        pick, key = self.pick, self.key()
        kind = pick.choice(("a", "b", "c"))
        match pick.randrange(9):
            case 0 | 1:
                self.execute("delete from doc where id = :1", key)
                self.execute(
                    "insert into doc (id, kind, note, bytes, text) values (:1, :2, to_clob(:3), :4, :5)",
                    key,
                    kind,
                    self.text(),
                    self.bytes(),
                    self.string(),
                )
            case 2:
                self.execute("update doc set note = :1, kind = :2 where id = :3", self.text(), kind, key)
            case 3:
                self.execute("update doc set text = :1 where id = :2", self.string(), key)
            case 4:
                self.execute("update doc set kind = :1, unread = :2 where id = :3", kind, self.text(), key)
            case 5:
                self.execute("update doc set id = :1 where id = :2", 100 + pick.randrange(10_000), key)
            case 6:
                self.execute("delete from doc where id = :1", key)
            case _:
                self.in_place(key)

    def in_place(self, key: int) -> None:
        """Change a LOB by DBMS_LOB; one that is null or not there cannot be."""
        column, kind = self.pick.choice((("note", "clob"), ("bytes", "blob")))
        data: object = "'é😀" if kind == "clob" else b"\x01\xfe\x00\x02"  # no pair is cut: places stay even
        change, *binds = self.pick.choice(
            (
                ("dbms_lob.write(l, 4, 5, :1);", data),
                ("dbms_lob.writeappend(l, 4, :1);", data),
                ("dbms_lob.trim(l, 2);",),
                ("dbms_lob.trim(l, 0); dbms_lob.write(l, 4, 1, :1);", data),
                ("dbms_lob.erase(l, 2, 1);",),
            )
        )
        select = f"select {column} into l from doc where id = {key} for update;"
        try:
            self.execute(f"declare l {kind}; begin {select} {change} end;", *binds)
        except oracledb.DatabaseError as exc:
            if exc.args[0].code not in (NO_ROW, NO_LOB):
                raise

    def transaction(self) -> None:
        """Some statements, part of them undone, perhaps all."""
        for number in range(self.pick.randrange(1, 6)):
            self.execute(f"savepoint s{number}")
            self.step()
            if self.pick.random() < 0.2:
                self.execute(f"rollback to savepoint s{number}")
        if self.pick.random() < 0.15:
            self.connection.rollback()
        else:
            self.connection.commit()


def new_reader(dsn: str, folder: Path, from_redo: tuple[str, ...], pick: random.Random) -> LogMinerReader:
    settings = OracleSystem(
        kind="oracle",
        dsn=dsn,
        user=BRIDGE,
        password=SECRET,
        owner=OWNER,
        insecure=True,
        poll_interval_ms=1,
        open_transaction_bytes=pick.choice((2_000, 2**27)),
        spill_directory=folder,
        open_transaction_write_s=0,
        lobs_from_redo=tuple(f"DOC.{name}" for name in from_redo),
    )
    rules = mapping_rules.from_files("bill", RULES)
    tables = mapping_rules.captured_tables(rules, SYSTEM)
    return LogMinerReader(SYSTEM, settings, tables, mapping_rules.columns_read(rules, SYSTEM))


def read_to_the_end(reader: LogMinerReader, stager: Stager, dsn: str, size: int) -> None:
    """Stage everything committed until now."""
    stored = stager.resume()
    assert stored is not None
    with system_session(dsn) as cursor:
        cursor.execute("select current_scn from v$database")
        (scn,) = cursor.fetchone()
    for batch in reader.read(stored.resume, max_changes=size, stop=lambda: False):
        stager.stage(batch)
        if int(batch.position) >= int(scn) and not batch.continues:
            return


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("from_redo", [(), LOBS], ids=["reselect", "redo"])
def test_source_staging_and_target_are_equal(
    dsn: str, postgres: Any, tmp_path: Path, from_redo: tuple[str, ...], seed: int
) -> None:
    """Inserts, updates, trims, erases, nulls, key changes, undone work, restarts: nothing differs."""
    pick = random.Random(seed)  # noqa: S311 - reproducible work, no secret
    with system_session(dsn) as cursor:
        cursor.execute("select count(*) from all_tables where owner = :1 and table_name = 'DOC'", [OWNER])
        if cursor.fetchone() == (1,):
            cursor.execute(f"drop table {OWNER}.DOC purge")
        cursor.execute(f"create table {OWNER}.DOC ({COLUMNS})")
        cursor.execute(f"alter table {OWNER}.DOC add supplemental log data (all) columns")
        cursor.execute(f"grant select, flashback on {OWNER}.DOC to {BRIDGE}")
    rules = mapping_rules.from_files("bill", RULES)
    name = f"t_{uuid.uuid4().hex[:12]}"
    with (
        oracledb.connect(user=OWNER, password=SECRET, dsn=dsn) as connection,
        staging(postgres.create_database(name), rules) as world,
        target_database(postgres.create_database(f"{name}_till")) as target,
    ):
        target.run("create table doc (doc_id text primary key, kind text, note text, bytes text, body text)")
        writer = Writer(connection, pick)
        for _ in range(10):
            writer.transaction()
        stager = new_stager(world, rules)
        reader = new_reader(dsn, tmp_path, from_redo, pick)
        stager.mapper.ask_source = reader.reread
        assert [finding for finding in reader.preflight() if not finding.advice] == []
        assert mapping_rules.check_source(rules, SYSTEM, reader.describe()) == []
        for batch in reader.snapshot(max_rows=5, stop=lambda: False):
            stager.stage(batch)
        stager.snapshot_completed()
        for _ in range(3):
            for _ in range(15):
                writer.transaction()
            writer.step()  # left open over the restart
            read_to_the_end(reader, stager, dsn, pick.choice((1, 3, 50)))
            reader.close()
            reader = new_reader(dsn, tmp_path, from_redo, pick)
            stager.mapper.ask_source = reader.reread
            world.lease.renew()
        connection.commit()
        read_to_the_end(reader, stager, dsn, 50)
        reader.close()
        expected = source_rows(connection)
        assert world.query("select reason_code, reason, key::text, raw::text from staging.dead_letter") == []
        assert world.query(ROWS.format("staging.doc where not tombstone")) == expected
        deliver(world, rules, target)
        assert target.rows(ROWS.format("doc")) == expected


def source_rows(connection: oracledb.Connection) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(SOURCE)
        return [
            tuple(v.hex() if isinstance(v, bytes) else v or None for v in row) for row in cursor.fetchall()
        ]


def new_stager(world: World, rules: mapping_rules.RuleSet) -> Stager:
    made = Stager(
        connect(world.settings, application="lobs"),
        rules,
        SYSTEM,
        kind="oracle",
        time_zone="UTC",
        run_id=uuid.uuid4(),
        lease=world.lease,
    )
    world.stagers.append(made)
    return made


def deliver(world: World, rules: mapping_rules.RuleSet, target: Target) -> None:
    (program,) = mapping_rules.compile_outbound(rules, "till", time_zone="UTC")
    with connect(world.settings, application="lobs delivered") as session:
        high = high_staged_seq(session)
        desired = desired_rows(session, program, 0, high)
    sink = target.sink()
    try:
        sink.write([(program, desired)], up_to=high, record=target.record)
    finally:
        sink.close()
