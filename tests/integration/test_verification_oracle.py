"""An Oracle source is compared with staging while replication continues."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import oracledb
import pytest
from psycopg import sql

import mapping_rules
from cdc.changes import TableName
from cdc.config import Run
from cdc.digests.definition import row_digest
from cdc.flows.capture import Capture
from cdc.flows.progress.state import FlowState
from cdc.flows.staged_signal import StagedSignal
from cdc.flows.verification.staged import StagedTable
from cdc.flows.verification.tables import TableComparison
from cdc.postgres.connect import connect
from cdc.readers.logminer import LogMinerReader
from cdc.readers.logminer.flashback.table_reader import OracleTableReader
from cdc.staging.batches.stage import Stager
from tests.contract.logminer_source import OracleSource, needs_stand_in, system_session
from tests.integration.test_verification import Found, covered
from tests.support.one_flow import OneFlow, running
from tests.unit.staging.world import World, staging

ROWS = 300
HOT = range(1, 4)
MOVED = range(200, 220)
MINE = range(100, 200)


@dataclass
class Site:
    """A source that is captured into staging."""

    source: OracleSource
    world: World
    flow: OneFlow

    @property
    def table(self) -> TableName:
        """The table that is compared."""
        return TableName(self.source.owner, "ACCOUNT")

    def execute(self, *statements: str) -> None:
        """In one transaction of the application."""
        with self.source.session() as session:
            for statement in statements:
                session.execute(statement)
            session.commit()

    def wait_for(self, count: int) -> None:
        """Until so many rows are staged."""
        query = "select count(*) from staging.account where not tombstone"
        self.flow.wait(lambda: self.world.query(query) == [(count,)], "rows")

    def spoil(self, key: int, change: str) -> None:
        """Change the image of a row in staging's change log."""
        statement = sql.SQL("update staging.change set {} where key ->> 'ID' = {}")
        self.world.observer.execute(statement.format(sql.SQL(change), sql.Literal(str(key))))

    def compare(self) -> Found:
        """Compare all of the table."""
        found = Found()
        read = mapping_rules.columns_read(self.world.rule_set, "ccb")
        with (
            closing(OracleTableReader("ccb", self.source.settings, [self.table], read)) as reader,
            connect(self.world.settings, application="test verify") as session,
        ):
            digest = row_digest(reader.describe()[self.table], read[self.table].names, kind="oracle")
            table = StagedTable(session, "ccb", digest)
            comparison = TableComparison(reader, table, digest, found.record, lambda: False, patience_s=20)
            comparison.size.rows = 120
            assert comparison.run()
        return found


@pytest.fixture
def site(source: OracleSource, database: str) -> Iterator[Site]:
    """Some accounts, staged."""
    rules = mapping_rules.from_files(
        "ccb",
        {
            "systems.yaml": f"ccb: {{conventions: plain, schema: {source.owner}}}\n",
            "entities/account.yaml": (
                "entity: account\nkey: [id]\ncolumns:\n  id: {type: integer}\n  name: {type: text}\n"
                "  amount: {type: decimal, precision: 15, scale: 2}\n  note: {type: text}\n"
            ),
            "inbound/account.yaml": (
                "system: ccb\ntable: ACCOUNT\nkey: [ID]\nentity: account\n"
                "columns: {id: ID, name: NAME, amount: AMOUNT, note: NOTE}\n"
            ),
        },
    )
    with source.session() as session:
        for number in range(1, ROWS + 1):
            note = "null" if number % 3 else "' '"
            session.execute(f"insert into ACCOUNT values ({number}, 'n{number} é', {number}.5, {note})")
        session.commit()
    with staging(database, rules) as world, captured(source, world) as flow:
        made = Site(source, world, flow)
        made.wait_for(ROWS)
        yield made


@contextmanager
def captured(source: OracleSource, world: World) -> Iterator[OneFlow]:
    """The capture flow of the source."""
    read = mapping_rules.columns_read(world.rule_set, "ccb")

    def stager() -> Stager:
        return Stager(
            connect(world.settings, application="capture"),
            world.rule_set,
            "ccb",
            kind="oracle",
            time_zone="UTC",
            run_id=uuid.uuid4(),
            lease=world.lease,
        )

    def work(state: FlowState) -> Capture:
        return Capture(
            system="ccb",
            read=read,
            open_reader=lambda: LogMinerReader("ccb", source.settings, tuple(read), read),
            open_stager=stager,
            sizes=Run(idle_poll_ms=50),
            wake=StagedSignal(),
            state=state,
            run_id=uuid.uuid4(),
        )

    with running("capture:ccb", work) as flow:
        yield flow


def test_planted_differences_are_found_and_named_exactly(site: Site) -> None:
    """A cent, a trailing blank, a 4-byte character, NULL against a blank, a row too few and one too many."""
    site.spoil(10, """after = after || '{"AMOUNT": "10.51"}'""")
    site.spoil(11, """after = after || '{"NAME": "n11 é "}'""")
    site.spoil(12, """after = after || '{"NAME": "n12 \U0001f600"}'""")
    site.spoil(13, """after = after || '{"NOTE": " "}'""")
    site.spoil(14, """key = '{"ID": "900"}', after = after || '{"ID": "900"}'""")
    found = site.compare()
    assert found.kinds("ID") == {
        "10": "different",
        "11": "different",
        "12": "different",
        "13": "different",
        "14": "missing",
        "900": "extra",
    }
    assert covered(found.chunks)
    shown = {one.key["ID"]: (one.columns, one.source, one.staged) for one in found.differences}
    assert shown["10"] == (("AMOUNT",), {"AMOUNT": "10.5"}, {"AMOUNT": "10.51"})
    assert shown["13"] == (("NOTE",), {"NOTE": None}, {"NOTE": " "})


def test_nothing_false_and_nothing_missed_under_traffic(site: Site) -> None:
    """Hot keys, changes of key and deletes while it is compared."""
    site.spoil(50, """after = after || '{"AMOUNT": "1"}'""")
    stop = threading.Event()
    threads = [threading.Thread(target=change, args=(site, seed, stop)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            found = site.compare().kinds("ID")
            unsure = {key for key, kind in found.items() if kind == "postponed"}
            assert unsure <= {str(key) for key in HOT}
            assert {key: kind for key, kind in found.items() if key not in unsure} == {"50": "different"}
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def change(site: Site, seed: int, stop: threading.Event) -> None:
    """Transactions of an application until asked to stop."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated
    with site.source.session() as session:
        while not stop.wait(0.01):
            mine, moved = chance.choice(MINE), chance.choice(MOVED)
            statements = [
                f"update ACCOUNT set AMOUNT = AMOUNT + 1 where ID = {chance.choice(HOT)}",
                f"delete from ACCOUNT where ID = {mine}",
                f"update ACCOUNT set ID = 1000 - ID where ID in ({moved}, {1000 - moved})",
                f"insert into ACCOUNT select {mine}, 'new', 1, null from dual "
                f"where not exists (select 1 from ACCOUNT where ID = {mine})",
            ]
            try:
                session.execute(chance.choice(statements))
            except oracledb.IntegrityError:
                session.rollback()  # the other session inserted it
            else:
                session.commit()


@pytest.mark.slow
@pytest.mark.parametrize("code", [1555, 1466])
def test_rows_that_are_no_longer_as_they_were_are_looked_at_again(site: Site, code: int) -> None:
    """Undo was overwritten, or DDL came between: fewer rows at a newer SCN, and every key once."""
    needs_stand_in()
    site.spoil(50, """after = after || '{"AMOUNT": "1"}'""")
    with system_session(site.source.settings.dsn) as cursor:
        cursor.execute(
            f"begin sandbox_faults.add_error(code => {code}, statement => 'nvl(sum(d), 0)', "
            "username => 'CCBRIDGE', times => 2); end;"
        )
    found = site.compare()
    assert found.chunks[0].source_rows == 1  # of 120 an eighth, and of that an eighth
    assert found.kinds("ID") == {"50": "different"}
    assert covered(found.chunks)
    with system_session(site.source.settings.dsn) as cursor:
        cursor.execute("begin sandbox_faults.clear; end;")
