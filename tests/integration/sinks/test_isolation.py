"""One row never stops a target: whatever refuses it, its key is held and all other rows are written."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterator, Sequence

import psycopg
import pytest

from cdc.errors import CcbridgeError, NotGranted, OperatorError, TransientError
from cdc.ports import Written
from sinks.upsert.sink import UpsertSink
from sinks.upsert.table_write import TableWrite
from tests.integration.sinks.upsert_target import Target, desired, program, target_database

ROW = program("t", ["id"], ["v"])
OTHER = program("u", ["id"], ["v"])
NODE = program("node", ["id"], ["next_id"])


@pytest.fixture
def target(database: str) -> Iterator[Target]:
    with target_database(database) as target:
        yield target


@pytest.fixture
def sink(target: Target) -> Iterator[UpsertSink]:
    sink = target.sink()
    yield sink
    sink.close()


def reasons(written: Written) -> dict[str, str]:
    """Key values to reason code of the rows held."""
    return {
        " ".join(json.loads(key).values()): code
        for key, code in written.held.select("key", "reason_code").rows()
    }


def raising(statement: str, *, when: str = "new.v = 'bad'", timing: str = "before") -> str:
    """A trigger on table t that runs a statement for some rows."""
    return (
        f"create function refuse() returns trigger language plpgsql as $$ begin if {when} then "
        f"{statement}; end if; return new; end $$;"
        f"create trigger refuse {timing} insert or update on t for each row execute function refuse()"
    )


REFUSED_BY = {
    "own code": (raising("raise exception 'x' using errcode = 'AC001'"), "sqlstate_AC001"),
    "code of class 42": (raising("perform 1 from no_such_table"), "undefined_table"),
    "missing right": (raising("raise exception 'x' using errcode = '42501'"), "insufficient_privilege"),
    "missing function": (raising("perform no_such_function()"), "undefined_function"),
    "cardinality": (raising("perform (select 1 union select 2)"), "cardinality_violation"),
    "not supported": (raising("raise exception 'x' using errcode = '0A000'"), "feature_not_supported"),
    "state of an object": (raising("perform currval('s')"), "object_not_in_prerequisite_state"),
    "external routine": (raising("raise exception 'x' using errcode = '39P01'"), "trigger_protocol_violated"),
    "triggered data change": (
        raising("raise exception 'x' using errcode = '27000'"),
        "triggered_data_change_violation",
    ),
    "check option": (raising("raise exception 'x' using errcode = '44000'"), "with_check_option_violation"),
    "no data found": (raising("raise exception 'x' using errcode = 'P0002'"), "no_data_found"),
    "assertion": (raising("assert false"), "assert_failure"),
    "after trigger": (
        raising("raise exception 'x' using errcode = 'ZZ123'", timing="after"),
        "sqlstate_ZZ123",
    ),
    "deferred trigger": (
        "create function late() returns trigger language plpgsql as $$ begin if new.v = 'bad' then "
        "raise exception 'x' using errcode = 'QQ001'; end if; return null; end $$;"
        "create constraint trigger late after insert on t deferrable initially deferred "
        "for each row execute function late()",
        "sqlstate_QQ001",
    ),
    "exclusion constraint": (
        "alter table t add exclude using btree (v with =) where (v = 'bad');"
        "insert into t values ('there', 'bad')",
        "exclusion_violation",
    ),
    "expression index": (
        "create function one_over(v text) returns int immutable language sql as "
        "$$ select 1 / case when v = 'bad' then 0 else 1 end $$; create index on t (one_over(v))",
        "division_by_zero",
    ),
}


def test_whatever_refuses_one_row_the_others_are_written(target: Target, sink: UpsertSink) -> None:
    """The state of the error does not matter, nor when it is raised, nor whether other rows are near."""
    target.run("create sequence s")
    for refusal, (statement, code) in REFUSED_BY.items():
        target.run(
            "drop table if exists t; drop function if exists refuse, late, one_over;"
            f"create table t (id text primary key, v text); {statement}"
        )
        target.close(sink)
        assert refused_one(target, sink) == ({"2": code}, {"4": code}), refusal


def refused_one(target: Target, sink: UpsertSink) -> tuple[dict[str, str], dict[str, str]]:
    """Write a bad row among good ones, and one alone; the good ones are there."""
    rows = [["1", "good"], ["2", "bad"], ["3", "fine"]]
    written = sink.write([(ROW, desired(ROW, *rows))], up_to=1, record=target.record)
    assert target.rows("select id from t where id <> 'there' order by 1") == [("1",), ("3",)]
    alone = sink.write([(ROW, desired(ROW, ["4", "bad"]))], up_to=2, record=target.record)
    return reasons(written), reasons(alone)


def test_value_too_long_for_an_index_is_held(target: Target, sink: UpsertSink) -> None:
    """A limit of an access method is a limit of the row."""
    target.run("create table t (id text primary key, v text); create index on t (v)")
    long = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(150))
    written = sink.write([(ROW, desired(ROW, ["1", "short"], ["2", long]))], up_to=1, record=target.record)
    assert reasons(written) == {"2": "program_limit_exceeded"}
    assert target.rows("select id from t") == [("1",)]


def test_row_level_policy_refuses_a_row(target: Target) -> None:
    """42501 of a policy is a row's, 42501 of a missing grant is not."""
    target.run(
        "create table t (id text primary key, v text); alter table t enable row level security;"
        "create policy p on t using (true) with check (v <> 'forbidden');"
        "drop role if exists policy_writer; create role policy_writer login password 'w';"
        "grant select, insert, update on t to policy_writer;"
        "grant usage on schema ccbridge to policy_writer;"
        "grant select, insert, update on ccbridge.sink_mark to policy_writer;"
        "grant execute on function pg_replication_origin_session_setup(text), "
        "pg_replication_origin_xact_setup(pg_lsn, timestamptz) to policy_writer"
    )
    changed = target.settings.model_dump() | {"user": "policy_writer", "password": "w"}
    target.settings = type(target.settings).model_validate(changed)
    sink = target.sink()
    try:
        written = sink.write(
            [(ROW, desired(ROW, ["1", "fine"], ["2", "forbidden"]))], up_to=1, record=target.record
        )
        assert reasons(written) == {"2": "insufficient_privilege"}
        target.run("revoke insert on t from policy_writer")
        with pytest.raises(NotGranted):
            sink.write([(ROW, desired(ROW, ["3", "fine"], ["4", "fine"]))], up_to=2, record=target.record)
        target.run("grant insert on t to policy_writer")
        assert sink.write([(ROW, desired(ROW, ["3", "fine"]))], up_to=2, record=target.record).written == 1
    finally:
        sink.close()
        target.run("drop owned by policy_writer; drop role policy_writer")


def test_a_table_that_refuses_every_row_holds_up_no_other(target: Target, sink: UpsertSink) -> None:
    """A trigger that fails for whatever row: all of them are held, soon, and the other tables are written."""
    target.run(
        "create table t (id text primary key, v text); create table u (id text primary key, v text);"
        + raising("perform 1 from gone", when="true")
    )
    rows = desired(ROW, *([str(number), "x"] for number in range(1000)))
    written = sink.write([(ROW, rows), (OTHER, desired(OTHER, ["1", "x"]))], up_to=5, record=target.record)
    assert (written.written, written.held.height) == (1, 1000)
    assert set(written.held["reason_code"]) == {"undefined_table"}
    assert target.rows("select id from u") == [("1",)]


def test_a_table_that_is_missing_what_any_write_needs_stops_the_target(
    target: Target, sink: UpsertSink
) -> None:
    """What fails without any row does not concern a row: nothing moves, nothing is held."""
    target.run(
        "create table t (id text primary key, v text);"
        "create function refuse() returns trigger language plpgsql as $$ begin perform 1 from gone; end $$;"
        "create trigger refuse before insert on t for each statement execute function refuse()"
    )
    with pytest.raises(OperatorError, match="gone"):
        sink.write([(ROW, desired(ROW, ["1", "x"]))], up_to=5, record=target.record)
    assert sink.position() == 0


OF_THE_SERVER = ("08006", "25006", "28000", "40001", "53100", "53200", "57014", "57P03", "58030")
EACH, NO_ROW = "for each row", "for each statement"
WHEN = {
    "row trigger": f"before insert or update on t {EACH}",
    "statement trigger": f"before insert or update on t {NO_ROW}",
    "after trigger": f"after insert on t {EACH}",
    "deferred trigger": f"after insert on t deferrable initially deferred {EACH}",
}
PROBE_FAILS = """
create function no_probe() returns event_trigger language plpgsql as $$ begin
    if current_query() like '%write_probe%' then raise exception 'down' using errcode = '53100'; end if;
end $$;
create event trigger no_probe on ddl_command_start when tag in ('CREATE TABLE') execute function no_probe()
"""


def each_code_in_turn() -> list[object]:
    """Every code once, every kind of trigger; slow: every code with every kind."""
    turns = {when: OF_THE_SERVER[number :: len(WHEN)] for number, when in enumerate(WHEN)}
    return [
        *(pytest.param(when, codes, id=when) for when, codes in turns.items()),
        *(
            pytest.param(when, OF_THE_SERVER, id=f"{when}, each code", marks=pytest.mark.slow)
            for when in WHEN
        ),
    ]


@pytest.mark.parametrize(("when", "codes"), each_code_in_turn())
def test_an_error_about_the_server_that_only_one_table_has_is_that_tables(
    target: Target, sink: UpsertSink, when: str, codes: Sequence[str]
) -> None:
    """However many rows it refuses, alone or beside others; what the whole server refuses is not held."""
    kind = "constraint trigger" if "deferred" in when else "trigger"
    sink.doubtful = True
    target.run("create table u (id text primary key, v text)")
    for number, code in enumerate(codes):
        target.run(
            "drop table if exists t; drop function if exists down;"
            "create table t (id text primary key, v text);"
            "create function down() returns trigger language plpgsql as "
            f"$$ begin raise exception 'x' using errcode = '{code}'; end $$;"
            f"create {kind} down {WHEN[when]} execute function down()"
        )
        target.close(sink)
        refused = desired(ROW, *([str(row), "x"] for row in range(6)))
        taken = desired(OTHER, [str(number), "x"])
        written = sink.write([(ROW, refused), (OTHER, taken)], up_to=number, record=target.record)
        assert (written.written, written.held.height) == (1, 6), code
        again = sink.write([(ROW, refused)], up_to=number, record=target.record)
        assert set(reasons(again).values()) == set(reasons(written).values()), code
        assert len(set(reasons(again).values())) == 1, code
    assert target.rows("select count(*) from u") == [(len(codes),)]
    assert target.rows("select count(*) from pg_class where relname = 'write_probe'") == [(0,)]
    target.run(PROBE_FAILS)
    for rows in (1, 6):
        with pytest.raises(CcbridgeError):
            sink.write([(ROW, refused.head(rows)), (OTHER, taken)], up_to=50, record=target.record)
        target.close(sink)  # it closed its session already
    assert sink.position() < 50


def test_a_server_that_is_read_only_is_waited_for(target: Target, sink: UpsertSink) -> None:
    """Doubted or not, nothing is held for what the whole server refuses."""
    target.run("create table t (id text primary key, v text)")
    sink.write([(ROW, desired(ROW, ["0", "x"]))], up_to=1, record=target.record)
    sink.doubtful = True
    target.run(f"alter database {target.settings.database} set default_transaction_read_only = on")
    for rows in (1, 8):
        target.close(sink)
        frame = desired(ROW, *([str(row), "x"] for row in range(rows)))
        with pytest.raises(TransientError, match="25006"):
            sink.write([(ROW, frame)], up_to=2, record=target.record)


def test_a_target_where_we_may_make_no_table_is_believed(target: Target, sink: UpsertSink) -> None:
    """What cannot be found out is not held; a partition elsewhere is looked at like its table."""
    target.run(
        "create table t (id text primary key, v text) partition by list (id);"
        "create table t1 partition of t default;"
        + raising("raise exception 'x' using errcode = '53100'", when="true")
    )
    sink.doubtful = True
    rows = [(ROW, desired(ROW, ["1", "x"]))]
    assert reasons(sink.write(rows, up_to=1, record=target.record)) == {"1": "disk_full"}
    target.run("create table ccbridge.write_probe ()")
    with pytest.raises(TransientError, match="53100"):
        sink.write(rows, up_to=2, record=target.record)


@pytest.mark.parametrize("deferrable", ["initially deferred", "initially immediate"])
def test_deferrable_foreign_key_refuses_the_orphan_only(
    target: Target, sink: UpsertSink, deferrable: str
) -> None:
    """Checked under the savepoint, not at the commit."""
    target.run(
        "create table node (id text primary key, "
        f"next_id text constraint next references node deferrable {deferrable})"
    )
    rows = desired(NODE, ["1", "77"], ["2", None], ["3", "2"])
    written = sink.write([(NODE, rows)], up_to=1, record=target.record)
    assert reasons(written) == {"1": "foreign_key_violation"}
    assert target.rows("select id from node order by 1") == [("2",), ("3",)]


def test_rows_that_refer_to_each_other_are_written_where_checks_can_wait(
    target: Target, sink: UpsertSink
) -> None:
    """A ring over a deferrable foreign key arrives whole, also beside an orphan."""
    target.run(
        "create table node (id text primary key, next_id text constraint next references node deferrable)"
    )
    ring = [["a", "b"], ["b", "c"], ["c", "a"]]
    written = sink.write([(NODE, desired(NODE, *ring))], up_to=1, record=target.record)
    assert (written.written, written.held.height) == (3, 0)
    target.run("alter table node add constraint short check (id <> 'refused')")
    other = desired(NODE, ["d", "e"], ["refused", None], ["e", "d"])
    written = sink.write([(NODE, other)], up_to=2, record=target.record)
    assert reasons(written) == {"refused": "check_violation"}
    assert target.rows("select count(*) from node") == [(5,)]


def test_ring_over_two_tables_beside_a_refused_row(target: Target, sink: UpsertSink) -> None:
    """Parents and children that need each other, in either order."""
    target.run(
        "create table a (id text primary key, b_id text not null);"
        "create table b (id text primary key, a_id text not null references a deferrable, "
        "constraint no_bad check (id <> 'bad'));"
        "alter table a add foreign key (b_id) references b deferrable initially deferred"
    )
    a, b = program("a", ["id"], ["b_id"]), program("b", ["id"], ["a_id"])
    written = sink.write(
        [(a, desired(a, ["1", "10"], ["2", "20"])), (b, desired(b, ["10", "1"], ["20", "2"], ["bad", "1"]))],
        up_to=1,
        record=target.record,
    )
    assert reasons(written) == {"bad": "check_violation"}
    assert target.rows("select id from a order by 1") == [("1",), ("2",)]


def test_required_unique_values_are_exchanged_where_the_check_can_wait(
    target: Target, sink: UpsertSink
) -> None:
    """A deferrable unique constraint looks at the end only, with a bad row in the same write, too."""
    target.run(
        "create table t (id text primary key, v text not null constraint one_v unique deferrable, "
        "constraint no_bad check (v <> 'bad'))"
    )
    sink.write([(ROW, desired(ROW, ["1", "x"], ["2", "y"]))], up_to=1, record=target.record)
    written = sink.write([(ROW, desired(ROW, ["1", "y"], ["2", "x"]))], up_to=2, record=target.record)
    assert (written.written, written.held.height) == (2, 0)
    back = desired(ROW, ["1", "x"], ["2", "y"], ["3", "bad"])
    written = sink.write([(ROW, back)], up_to=3, record=target.record)
    assert reasons(written) == {"3": "check_violation"}
    assert dict(target.rows("select id, v from t")) == {"1": "x", "2": "y"}


def test_constraint_made_while_the_sink_runs_is_met_at_the_next_try(target: Target, sink: UpsertSink) -> None:
    """What the commit refuses is tried again in a session that knows the constraint."""
    target.run("create table node (id text primary key, next_id text)")
    sink.write([(NODE, desired(NODE, ["0", None]))], up_to=1, record=target.record)
    target.run("alter table node add foreign key (next_id) references node deferrable initially deferred")
    rows = [(NODE, desired(NODE, ["1", "77"], ["2", None]))]
    with pytest.raises(Exception, match="foreign_key_violation"):
        sink.write(rows, up_to=2, record=target.record)
    assert reasons(sink.write(rows, up_to=2, record=target.record)) == {"1": "foreign_key_violation"}


def test_character_that_the_encoding_has_not_is_held(database: str) -> None:
    """A LATIN1 target takes all it can write down."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "create database latin template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'"
        )
    try:
        with target_database(psycopg.conninfo.make_conninfo(database, dbname="latin")) as target:
            target.run("create table t (id text primary key, v text)")
            sink = target.sink()
            rows = desired(ROW, ["1", "café"], ["2", "10 €"], ["3", "plain"], ["€", "x"])
            written = sink.write([(ROW, rows)], up_to=1, record=target.record)
            sink.close()
            assert reasons(written) == {"2": "untranslatable_character", "€": "untranslatable_character"}
            assert target.rows("select id, v from t order by 1") == [("1", "café"), ("3", "plain")]
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("drop database latin with (force)")


LOCKS = {
    "row": ("select from t where id = '1' for update", ["1", "new"]),
    "deleted row": ("delete from t where id = '1'", ["1", "new"]),
    "row not yet committed": ("insert into t values ('9', 'theirs')", ["9", "new"]),
    "parent": ("select from parent for update", ["8", "p"]),
}


@pytest.mark.parametrize("lock", LOCKS)
def test_locked_row_delays_its_own_key_only(target: Target, sink: UpsertSink, lock: str) -> None:
    """The application may keep a row as long as it likes; the others are written at once."""
    statement, row = LOCKS[lock]
    target.run(
        "create table parent (v text primary key); insert into parent values ('p'), ('q');"
        "create table t (id text primary key, v text);"
        "insert into t values ('1', 'old'), ('2', 'old')"
    )
    if lock == "parent":
        target.run("update t set v = 'q'; alter table t add foreign key (v) references parent")
        others = [["2", "q"], ["3", "q"]]
        statement = "select from parent where v = 'p' for update"
    else:
        others = [["2", "new"], ["3", "new"]]
    with psycopg.connect(target.conninfo) as application:
        application.execute(statement)
        for attempt in range(2):
            started = time.monotonic()
            rows = desired(ROW, row, *others, [f"extra{attempt}", others[0][1]])
            written = sink.write([(ROW, rows)], up_to=1 + attempt, record=target.record)
            assert reasons(written) == {row[0]: "locked"}
            assert time.monotonic() - started < 5
        application.rollback()
    written = sink.write([(ROW, desired(ROW, row))], up_to=3, record=target.record)
    assert (written.written, written.held.height) == (1, 0)
    assert dict(target.rows("select id, v from t"))[row[0]] == row[1]


def test_locked_rows_are_gone_round_without_a_search(
    target: Target, sink: UpsertSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch job of the application may have hundreds of rows locked; one try finds all of them."""
    target.run(
        "create table t (id text primary key, v text);"
        "insert into t select n::text, 'old' from generate_series(1, 40) n"
    )
    rows = desired(ROW, *([str(number), "new"] for number in range(1, 41)))
    tries: list[int] = []
    write_range = TableWrite._write_range

    def counted(part: TableWrite, low: int, high: int) -> None:
        tries.append(high - low)
        write_range(part, low, high)

    monkeypatch.setattr(TableWrite, "_write_range", counted)
    with psycopg.connect(target.conninfo) as application:
        application.execute("select from t where id::int % 2 = 0 for update")
        written = sink.write([(ROW, rows)], up_to=1, record=target.record)
        assert (written.written, set(reasons(written).values())) == (20, {"locked"})
    assert tries == [40, 40], "as a whole, and round the locked rows"


def test_lock_of_the_whole_table_is_waited_for(target: Target, sink: UpsertSink) -> None:
    """Rows are not the cause: thousands of them must not be held for an ALTER TABLE."""
    target.run("create table t (id text primary key, v text)")
    sink.write([(ROW, desired(ROW, ["0", "x"]))], up_to=1, record=target.record)
    with psycopg.connect(target.conninfo) as application:
        application.execute("lock table t in share mode")
        with pytest.raises(Exception, match="55P03"):
            sink.write([(ROW, desired(ROW, ["1", "x"], ["2", "x"]))], up_to=2, record=target.record)


def test_delivery_shows_what_a_trigger_made_of_the_row(target: Target, sink: UpsertSink) -> None:
    """An auditor reads what was stored, not what was asked for."""
    target.run(
        "create table t (id text primary key, v text);"
        "create function up() returns trigger language plpgsql as "
        "$$ begin new.v := upper(new.v); return new; end $$;"
        "create trigger up before insert or update on t for each row execute function up()"
    )
    sink.write([(ROW, desired(ROW, ["1", "abc"], ["2", "ÉÈ"]))], up_to=1, record=target.record)
    sink.write([(ROW, desired(ROW, ["1", "def"]))], up_to=2, record=target.record)
    assert [json.loads(one["after"])["v"] for one in target.recorded] == ["ABC", "ÉÈ", "DEF"]
    assert json.loads(target.recorded[2]["before"]) == {"v": "ABC"}


def test_delivery_shows_what_a_trigger_of_a_partition_made_of_the_row(
    target: Target, sink: UpsertSink
) -> None:
    """Partitions have triggers of their own."""
    target.run(
        "create table t (id text primary key, v text) partition by list (id);"
        "create table t1 partition of t for values in ('1'); create table t2 partition of t default;"
        "create function up() returns trigger language plpgsql as "
        "$$ begin new.v := upper(new.v); return new; end $$;"
        "create trigger up before insert or update on t1 for each row execute function up()"
    )
    sink.write([(ROW, desired(ROW, ["1", "abc"], ["2", "abc"]))], up_to=1, record=target.record)
    assert {one["key"]: json.loads(one["after"])["v"] for one in target.recorded} == {
        '{"id": "1"}': "ABC",
        '{"id": "2"}': "abc",
    }


def test_trigger_that_alters_the_key_is_named(target: Target, sink: UpsertSink) -> None:
    """A row under another key would never be found again; it is not written."""
    target.run(
        "create table t (id text primary key, v text);"
        "create function up() returns trigger language plpgsql as "
        "$$ begin new.id := upper(new.id); return new; end $$;"
        "create trigger up before insert or update on t for each row execute function up()"
    )
    written = sink.write([(ROW, desired(ROW, ["a", "x"], ["B", "y"]))], up_to=1, record=target.record)
    assert reasons(written) == {"a": "key_altered"}
    assert target.rows("select id from t") == [("B",)]


@pytest.mark.parametrize(
    ("type_", "x", "y"),
    [("text", "m1", "m2"), ("bigint", "1", "2"), ("uuid", f"{1:032}", f"{2:032}"), ("numeric", "1", "2")],
)
def test_required_unique_values_are_exchanged_where_nothing_else_looks(
    target: Target, sink: UpsertSink, type_: str, x: str, y: str
) -> None:
    """Not null and not deferrable: each row has a value of its own for a moment; no one else is touched."""
    target.run(f"create table t (id text primary key, v {type_} not null unique)")
    rule = program("t", ["id"], ["v"])
    first = [["1", x], ["2", y], ["3", x.replace("1", "9")]]
    if type_ == "uuid":
        first = [[key, str(uuid.UUID(value))] for key, value in first]
    sink.write([(rule, desired(rule, *first))], up_to=1, record=target.record)
    written = sink.write(
        [(rule, desired(rule, ["1", first[1][1]], ["2", first[0][1]]))], up_to=2, record=target.record
    )
    assert (written.written, written.held.height) == (2, 0)
    now = dict(target.rows("select id, v::text from t"))
    assert now == {"1": first[1][1], "2": first[0][1], "3": first[2][1]}
    assert {json.loads(one["after"])["v"] for one in target.recorded[3:]} == {
        json.loads(one["after"])["v"] for one in target.recorded[:2]
    }


def test_required_unique_values_that_something_looks_at_stay_and_are_held(
    target: Target, sink: UpsertSink
) -> None:
    """A check constraint would see the value of the moment, so none is made up."""
    target.run("create table t (id text primary key, v text not null unique check (length(v) < 5))")
    sink.write([(ROW, desired(ROW, ["1", "x"], ["2", "y"]))], up_to=1, record=target.record)
    written = sink.write([(ROW, desired(ROW, ["1", "y"], ["2", "x"]))], up_to=2, record=target.record)
    assert set(reasons(written).values()) == {"unique_violation"}
    assert dict(target.rows("select id, v from t")) == {"1": "x", "2": "y"}
