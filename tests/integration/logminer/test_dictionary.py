"""What the dictionary says of captured tables, to a user with the least rights: parts, keys, columns."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from cdc.changes import ChangeBatch, TableName
from cdc.errors import TableChanged, TableOutdated
from cdc.ports import Finding
from cdc.readers.logminer import LogMinerReader
from tests.contract.logminer_source import OracleSource, needs_stand_in, oracle_server, system_session
from tests.contract.reader_suite import events, snapshot

PARTITIONED = (
    "partition by range (id) (partition p1 values less than (10), partition p2 values less than (maxvalue))"
)
TIMEOUT_S = 20.0
COMPOSITE = (
    "partition by range (id) subpartition by hash (name) (partition p1 values less than (10) "
    "(subpartition s1, subpartition s2), partition p2 values less than (maxvalue) (subpartition s3))"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    needs_stand_in()
    with oracle_server(tmp_path_factory.mktemp("oracle")) as dsn:
        yield dsn


@pytest.fixture
def source(server: str) -> OracleSource:
    return OracleSource(server)


class Captured:
    """One table of a source, captured."""

    def __init__(self, source: OracleSource, columns: str, tail: str = "") -> None:
        self.source, self.name = source, TableName(source.owner, "ODD")
        self.run(
            f"create table {self.name} ({columns}) {tail}",
            f"alter table {self.name} add supplemental log data (all) columns",
            f"grant select, flashback on {self.name} to {source.settings.user}",
        )

    def run(self, *statements: str) -> None:
        with system_session(self.source.settings.dsn) as cursor:
            for statement in statements:
                cursor.execute(statement)

    def reader(self) -> LogMinerReader:
        return LogMinerReader("ccb", self.source.settings, [self.name])

    def look(self) -> list[Finding]:
        with closing(self.reader()) as reader:
            return reader.preflight()

    def read(self, resume: Mapping[str, Any], rows: int) -> list[ChangeBatch]:
        """Batches until so many changes are there, or the table is stopped."""
        found: list[ChangeBatch] = []
        until = time.monotonic() + TIMEOUT_S
        with closing(self.reader()) as reader:
            for batch in reader.read(resume, max_changes=100, stop=lambda: time.monotonic() > until):
                found.append(batch)
                changes = sum(len(events(one)) for one in found)
                if batch.stopped or changes >= rows:
                    break
        return found


def changed(batches: list[ChangeBatch]) -> list[tuple[str, str | None]]:
    return [(event.operation, event.after.get("id")) for batch in batches for event in events(batch)]


COLUMNS = "id number(9) primary key, name varchar2(20)"


@pytest.mark.parametrize("tail", ["", PARTITIONED, COMPOSITE, "organization index"])
def test_rows_that_are_undecoded_are_of_the_table_whose_part_holds_them(
    source: OracleSource, tail: str
) -> None:
    """After DDL LogMiner names an object, not the table: a subpartition or index that ALL_OBJECTS hides."""
    table = Captured(source, COLUMNS, tail)
    assert table.look() == []
    with closing(table.reader()) as reader:
        resume = snapshot(reader)[-1].resume
    inserts = [f"insert into {table.name} (id, name) values ({number}, 'x')" for number in range(1, 7)]
    table.run(*inserts, f"alter table {table.name} add (more varchar2(5))")
    assert changed(table.read(resume, 6)) == [("c", str(number)) for number in range(1, 7)]


def test_the_numbers_of_a_part_that_is_gone_are_known_from_the_checkpoint(source: OracleSource) -> None:
    """Rows from before a partition was split are read although its object is in no dictionary any more."""
    table = Captured(source, COLUMNS, PARTITIONED)
    with closing(table.reader()) as reader:
        resume = snapshot(reader)[-1].resume
    table.run(
        *(f"insert into {table.name} (id, name) values ({number}, 'x')" for number in range(1, 5)),
        f"alter table {table.name} split partition p2 at (100) into (partition p3, partition p4)",
    )
    batches = table.read(resume, 4)
    assert changed(batches) == [("c", str(number)) for number in range(1, 5)]
    assert not batches[-1].stopped


def test_rows_of_an_object_that_came_and_went_unseen_stop_the_table_by_name(source: OracleSource) -> None:
    """Between two looks a partition was made and split again: whose its rows were nothing can tell."""
    table = Captured(source, COLUMNS, PARTITIONED)
    with closing(table.reader()) as reader:
        resume = snapshot(reader)[-1].resume
    split = f"alter table {table.name} split partition"
    table.run(
        f"{split} p2 at (100) into (partition p3, partition p4)",
        *(f"insert into {table.name} (id, name) values ({number}, 'x')" for number in range(1, 7)),
        f"{split} p3 at (50) into (partition p5, partition p6)",
    )
    last = table.read(resume, 100)[-1]
    (error,) = last.stopped.values()
    assert isinstance(error, TableChanged)
    assert "whose rows may have been of its partitions" in str(error)
    assert str(table.name) in str(error)


def test_a_dropped_table_of_others_stops_nothing(source: OracleSource) -> None:
    """Its rows are in the redo and its number in no dictionary; they are counted."""
    table = Captured(source, COLUMNS, PARTITIONED)
    with closing(table.reader()) as reader:
        resume = snapshot(reader)[-1].resume
    other = f"{source.owner}.SCRATCH"
    table.run(
        f"create table {other} (id number)",
        f"insert into {other} values (1)",
        f"drop table {other}",
        f"insert into {table.name} (id, name) values (1, 'x')",
        f"alter table {table.name} add (more varchar2(5))",
        f"insert into {table.name} (id, name) values (2, 'x')",
    )
    batches = table.read(resume, 2)
    assert changed(batches) == [("c", "1"), ("c", "2")]
    assert not batches[-1].stopped


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ("id number(9), name varchar2(20), constraint pk primary key (id) disable", "no primary key"),
        (
            "id number(9), name varchar2(20), primary key (id) enable novalidate",
            "no primary key",
        ),
        ("id number(9) primary key, name varchar2(20), hid varchar2(9) invisible", "invisible column HID"),
        ("id number(9) primary key, doc json", "JSON column DOC"),
        ("id number(9) primary key, doc xmltype", "column DOC of type XMLTYPE"),
    ],
)
def test_what_check_finds_in_a_table(source: OracleSource, columns: str, found: str) -> None:
    """Each is reported once, and with the statement that fixes it where SQL can."""
    (finding,) = Captured(source, columns).look()
    assert found in finding.found


def test_an_invisible_column_that_was_made_visible_is_captured(source: OracleSource) -> None:
    """Until then the rows flow without it."""
    table = Captured(source, f"{COLUMNS}, hid varchar2(9) invisible")
    with closing(table.reader()) as reader:
        assert reader.describe()[table.name].column_names == ("ID", "NAME")
        resume = snapshot(reader)[-1].resume
    table.run(f"insert into {table.name} (id, name, hid) values (1, 'x', 'unseen')")
    ((event,),) = [events(batch) for batch in table.read(resume, 1) if events(batch)]
    assert "hid" not in event.after


def test_a_unique_index_over_columns_that_are_never_null_is_a_key(source: OracleSource) -> None:
    """Sites made by scripts of another database have no declared primary keys."""
    table = Captured(source, "id number(9) not null, line number(3) not null, name varchar2(20)")
    table.run(
        f"create unique index {source.owner}.XN on {table.name} (name)",
        f"create unique index {source.owner}.XT001P0 on {table.name} (id, line)",
    )
    assert table.look() == []
    with closing(table.reader()) as reader:
        assert reader.describe()[table.name].key == ("ID", "LINE")


def test_policies_that_hide_rows_from_the_snapshot_are_found(source: OracleSource) -> None:
    """The redo holds what a policy hides, so both must show the same; being exempt is the cure."""
    table, user = Captured(source, COLUMNS), source.settings.user
    where = f"object_schema => '{source.owner}', object_name => 'ODD', policy_name => 'HIDE'"
    table.run(
        f"insert into {table.name} values (1, 'x')",
        f"begin dbms_rls.add_policy({where}, policy_function => 'absent'); end;",
        f"begin dbms_redact.add_policy({where}, column_name => 'NAME', expression => '1=1'); end;",
        f"grant select on sys.redaction_policies to {user}",
    )
    try:
        found = table.look()
        assert [finding.fix for finding in found] == [
            f"grant exempt access policy to {user};",
            f"grant exempt redaction policy to {user};",
        ]
        table.run(*(finding.fix.rstrip(";") for finding in found))
        assert table.look() == []
        with closing(table.reader()) as reader:
            assert changed(snapshot(reader)) == [("r", "1")]
    finally:
        table.run(
            f"revoke exempt access policy from {user}",
            f"revoke exempt redaction policy from {user}",
            f"revoke select on sys.redaction_policies from {user}",
        )


def test_archived_rows_are_in_the_snapshot(source: OracleSource) -> None:
    """They are hidden from other sessions by their ORA_ARCHIVE_STATE, and their changes are in the redo."""
    table = Captured(source, COLUMNS, "row archival")
    table.run(
        f"insert into {table.name} (id, name) values (1, 'x')",
        f"insert into {table.name} (id, name) values (2, 'y')",
        f"update {table.name} set ora_archive_state = '1' where id = 2",
    )
    assert table.look() == []
    with closing(table.reader()) as reader:
        batches = snapshot(reader)
        assert sorted(changed(batches)) == [("r", "1"), ("r", "2")]
    table.run(f"insert into {table.name} (id, name) values (3, 'z')")
    assert changed(table.read(batches[-1].resume, 1)) == [("c", "3")]


@pytest.mark.parametrize("read_before", [True, False])
def test_a_column_added_with_a_default_marks_its_table(source: OracleSource, *, read_before: bool) -> None:
    """Rows from before have the default and no redo says so, not even when they are updated; it is kept."""
    table = Captured(source, COLUMNS)
    table.run(f"insert into {table.name} values (1, 'old')")
    with closing(table.reader()) as reader:
        resume = snapshot(reader)[-1].resume
        assert reader.missing_log(resume) == []
    add = f"alter table {table.name} add (kind char(4) default 'NONE' not null, plain varchar2(9))"
    rest = (
        f"update {table.name} set name = 'new' where id = 1",
        f"insert into {table.name} (id, name) values (2, 'b')",
    )
    if read_before:
        table.run(f"insert into {table.name} values (3, 'x')")
        resume = table.read(resume, 1)[-1].resume
    table.run(add, *rest)
    batches = table.read(resume, 2)
    update, insert = [event for batch in batches for event in events(batch)]
    assert (update.after["name"], update.after["kind"]) == ("new", "<absent>")
    assert insert.after["kind"] == "NONE"
    (error,) = batches[-1].outdated.values()
    assert isinstance(error, TableOutdated)
    assert "got KIND with a default" in str(error)
    assert not batches[-1].stopped
    # over a restart, and in check
    table.run(f"insert into {table.name} (id, name) values (4, 'c')")
    again = table.read(batches[-1].resume, 1)
    assert list(again[-1].outdated) == [table.name]
    with closing(table.reader()) as reader:
        (finding,) = reader.missing_log(again[-1].resume)
        assert finding.advice
        assert "staging.checkpoint" in finding.fix
        assert "outdated" not in snapshot(reader)[-1].resume


def test_a_table_that_may_be_read_only_with_dba_objects_says_so(source: OracleSource) -> None:
    """Without it rows of subpartitions and index-organised tables could be lost after a DDL."""
    user = source.settings.user
    table = Captured(source, COLUMNS)
    table.run(f"revoke select on sys.dba_objects from {user}")
    (finding,) = table.look()
    assert finding.subject == "DBA_OBJECTS"
    table.run(finding.fix.rstrip(";"))
    assert table.look() == []
