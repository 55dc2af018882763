"""The probe of an Oracle system: what it finds on the stand-in, what it records, what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from cdc.assumptions import Deadline, Outcome, Verdict
from cdc.errors import OperatorError
from cdc.flows.checks.probe import parse_all
from cdc.readers.logminer.checks.grants import enter_grant
from cdc.readers.logminer.probing import kind_checks, recording, redo_checks, value_checks
from cdc.readers.logminer.probing.evidence import Evidence
from cdc.readers.logminer.probing.recording import Recording
from cdc.readers.logminer.probing.replay import replayed
from cdc.readers.logminer.probing.scratch import ScratchPlace
from cdc.readers.logminer.probing.trial import Trial
from sandbox.oracle_process import OracleProcess
from tests import replay_probe
from tests.contract.logminer_source import (
    bridge_settings,
    grant_dictionary,
    inside,
    needs_stand_in,
    prepared,
    system_session,
)

SCHEMA, PASSWORD = "CCBPROBE", "probe-secret"
PLACE = ScratchPlace(SCHEMA, SecretStr(PASSWORD))
CHECKS = {**redo_checks.CHECKS, **kind_checks.CHECKS, **value_checks.CHECKS}
NOT_IN_THE_STAND_IN = {
    *("partition-rows", "temporary-table"),  # PARTITION BY and ON COMMIT DELETE ROWS are refused
    "interval-text",
    "type-json",
    "type-boolean",
    "type-vector",
    "type-rowid",
    "type-urowid",
    "type-xml",
    "type-object",
    "type-bfile",
    "long-name",
    "lob-rows-closed",
    "internal-rows",
}
"""Types, names and rows that it does not have, or not as Oracle has them."""


@dataclass
class Done:
    """A whole probe, and its file."""

    trial: Trial
    file: Path

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        return {one.assumption.name: one for one in self.trial.outcomes}

    @property
    def recording(self) -> Recording:
        assert self.trial.recording is not None
        return self.trial.recording


def tables(dsn: str) -> list[str]:
    """Tables of the scratch schema."""
    with system_session(dsn) as cursor:
        cursor.execute("select table_name from all_tables where owner = :1 order by 1", [SCHEMA])
        return [str(name) for (name,) in cursor]


@pytest.fixture(scope="module")
def schema(oracle: str) -> str:
    """A database with a scratch schema."""
    with system_session(oracle) as cursor:
        cursor.execute(f'create user {SCHEMA} identified by "{PASSWORD}"')
        cursor.execute(f"alter user {SCHEMA} quota unlimited on USERS")
        cursor.execute(f"grant create session, create table to {SCHEMA}")
    return oracle


def trial(dsn: str, *, seconds: float = 120.0, progress: Callable[[str], None] = lambda _: None) -> Trial:
    """A probe of the stand-in that watches for a second."""
    settings = bridge_settings(dsn)
    return Trial("ccb", settings, PLACE, Deadline(seconds), 1.0, progress, partial(parse_all, settings))


@pytest.fixture(scope="module")
def done(schema: str, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A probe that ran to its end."""
    made = trial(schema)
    made.run()
    file = tmp_path_factory.mktemp("probe") / "probe.jsonl"
    assert made.recording is not None
    recording.write(file, made.recording, made.outcomes)
    return Done(made, file)


def test_every_assumption_is_looked_at_and_holds_where_the_stand_in_has_what_it_needs(done: Done) -> None:
    """Nothing is passed over; what differs or cannot be tried is what the stand-in is known to lack."""
    needs_stand_in()
    assert done.trial.unreachable is None
    open_points = {
        f"{name}: {one.reason}" for name, one in done.outcomes.items() if one.verdict is not Verdict.HOLDS
    }
    assert {text.partition(":")[0] for text in open_points} <= NOT_IN_THE_STAND_IN, open_points


def test_the_scratch_schema_is_empty_again(schema: str, done: Done) -> None:
    """A probe leaves nothing behind."""
    assert done.recording.rows
    assert tables(schema) == []


def test_the_recording_replays_without_a_database(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    """Anyone who gets the file sees what the reader makes of each transaction."""
    assert replay_probe.main([str(done.file)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    made = sum(not step.error for step in done.recording.steps.values())
    assert last == f"replay probe: {made} transactions right, 0 wrong"


def test_the_recording_says_what_was_recorded(done: Done) -> None:
    """Nothing is lost between the probe and its file."""
    read = recording.read(done.file)
    assert read.rows == done.recording.rows
    assert read.steps == done.recording.steps
    assert read.tables == done.recording.tables


def test_the_recording_has_no_names_of_the_site(done: Done) -> None:
    """It may be sent to someone: no schema, user, password, host or service is in it."""
    text = done.file.read_text(encoding="utf-8")
    for name in (SCHEMA, PASSWORD, "CCBRIDGE", "127.0.0.1", "localhost", '"CCB"'):
        assert name not in text


def test_a_wrong_transaction_is_counted(
    done: Done, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recording in which the reader would lose a change is reported by name and exit code."""
    changed = altered(done.recording, "plain", lambda row: row["OPERATION"] == "UPDATE", SQL_REDO=None)
    changed.rows = [row for row in changed.rows if row["SQL_REDO"] is not None or row["OPERATION_CODE"] > 3]
    file = tmp_path / "changed.jsonl"
    recording.write(file, changed, ())
    assert replay_probe.main([str(file)]) == 1
    out = capsys.readouterr().out
    assert "plain: CCBP_PLAIN.N: row [\"2\"]: read 'two', the database has 'second'" in out
    assert out.splitlines()[-1].endswith(", 1 wrong")


def altered(
    before: Recording, step: str, which: Callable[[Mapping[str, Any]], bool], **values: object
) -> Recording:
    """A recording with other values in some rows of a transaction."""
    xid = before.steps[step].xid
    return replace(
        before, rows=[{**row, **values} if row["XID"] == xid and which(row) else row for row in before.rows]
    )


def data(row: Mapping[str, Any]) -> bool:
    """A row of a test table."""
    return row["OPERATION_CODE"] in (1, 2, 3) and row["TABLE_NAME"] != "CCBP_STEP"


def updates(row: Mapping[str, Any]) -> bool:
    """A forward UPDATE."""
    return row["OPERATION_CODE"] == 3 and not row["ROLLBACK"]


def ends(row: Mapping[str, Any]) -> bool:
    """A row of transaction control."""
    return row["OPERATION_CODE"] in (6, 7, 36)


WITH_ROWID = """delete from "SCRATCH"."CCBP_PLAIN" where "ID" = '1' and ROWID = 'AAAAAAAAAAAAAAAAAB';"""
OTHER_KEY = """update "SCRATCH"."CCBP_PLAIN" set "N" = 'x' where "ID" = '1' and "N" = 'one' and "A" = '1';"""
OTHERWISE: tuple[tuple[str, str, Callable[[Mapping[str, Any]], bool], Mapping[str, object]], ...] = (
    ("transaction-rows", "plain", lambda row: row["OPERATION_CODE"] == 6, {"OPERATION_CODE": 0}),
    ("rows-in-order", "merge", data, {"SCN": 1}),
    ("rolled-back", "rolled-back", lambda row: ends(row) or row["ROLLBACK"], {"OPERATION_CODE": 7}),
    ("open-transaction", "open", data, {"OPERATION_CODE": 0}),
    ("user-name", "plain", data, {"USERNAME": "OTHER"}),
    ("client-id", "client-id", lambda _: True, {"CLIENT_ID": "probe"}),
    ("parent-xid", "plain", data, {"PXID": "0100020003000000"}),
    ("source-container", "plain", ends, {"SRC_CON_NAME": None}),
    ("status-values", "plain", data, {"STATUS": 3}),
    ("undo", "savepoint", lambda row: bool(row["ROLLBACK"]), {"OPERATION_CODE": 0}),
    ("compensation-row", "savepoint", lambda row: bool(row["ROLLBACK"]), {"ROW_ID": "AAAAAAAAAAAAAAAAAB"}),
    ("zero-row-id", "typed", data, {"ROW_ID": "AAA"}),
    ("key-update", "key-update", updates, {"SQL_REDO": OTHER_KEY}),
    ("no-rowid-in-text", "key-update", updates, {"SQL_REDO": WITH_ROWID}),
    ("long-texts", "long-text", data, {"CSF": 0}),
    ("char-padding", "typed", lambda row: "'ab    '" in (row["SQL_REDO"] or ""), {"OPERATION_CODE": 0}),
    ("ddl-row", "ddl-after", lambda _: True, {}),
    ("iot-rows", "iot", data, {"TABLE_NAME": "SYS_IOT_TOP_1"}),
)


@pytest.mark.parametrize(("name", "step", "which", "values"), OTHERWISE, ids=[one[0] for one in OTHERWISE])
def test_a_database_that_does_otherwise_differs(
    done: Done,
    name: str,
    step: str,
    which: Callable[[Mapping[str, Any]], bool],
    values: Mapping[str, object],
) -> None:
    """Rows that contradict an assumption are seen; a check that cannot fail would say nothing."""
    changed = altered(done.recording, step, which, **values)
    if name == "ddl-row":
        changed.rows = [row for row in changed.rows if row["OPERATION_CODE"] != 5]
    assert CHECKS[name](Evidence(done.recording)).verdict is Verdict.HOLDS
    assert CHECKS[name](Evidence(changed)).verdict is Verdict.DIFFERS


def test_a_transaction_that_is_missing_in_the_redo_is_wrong(done: Done) -> None:
    """A commit that LogMiner does not show is a lost transaction."""
    changed = replace(done.recording)
    xid = changed.steps["plain"].xid
    changed.rows = [row for row in changed.rows if row["XID"] != xid or row["OPERATION_CODE"] != 7]
    assert [str(problem) for problem in replayed(changed)["plain"].problems] == ["its commit was not seen"]


def test_time_that_is_over_keeps_nothing_behind(schema: str) -> None:
    """What was not reached is named, and the tables are dropped all the same."""
    made = trial(schema, seconds=1.5)
    made.run()
    late = [one for one in made.outcomes if one.verdict is Verdict.COULD_NOT_TRY]
    assert any("of the probe were over" in one.reason for one in late)
    assert tables(schema) == []


def test_an_interruption_drops_the_tables(schema: str) -> None:
    """Ctrl-C in the middle of the workload leaves nothing behind, and says what was not tried."""

    def interrupt(text: str) -> None:
        if "many-rows" in text:
            raise KeyboardInterrupt

    made = trial(schema, progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        made.run()
    assert {one.reason for one in made.outcomes} == {"the probe was interrupted"}
    assert tables(schema) == []


def test_tables_that_no_probe_made_are_refused(schema: str) -> None:
    """A table of the site that happens to have such a name is neither dropped nor changed."""
    with system_session(schema) as cursor:
        cursor.execute(f"create table {SCHEMA}.CCBP_PLAIN (X number)")
    try:
        with pytest.raises(OperatorError, match=r"tables that no probe made: CCBP_PLAIN"):
            trial(schema).run()
        assert tables(schema) == ["CCBP_PLAIN"]
    finally:
        with system_session(schema) as cursor:
            cursor.execute(f"drop table {SCHEMA}.CCBP_PLAIN purge")


def test_tables_of_a_probe_that_was_killed_are_dropped(schema: str) -> None:
    """The next probe knows them by their comment."""
    with system_session(schema) as cursor:
        cursor.execute(f"create table {SCHEMA}.CCBP_PLAIN (X number)")
        cursor.execute(
            f"comment on table {SCHEMA}.CCBP_PLAIN is 'made by ccbridge probe, dropped at its end'"
        )
    made = trial(schema, seconds=1.5)
    made.run()
    assert tables(schema) == []


@pytest.mark.slow
def test_a_pluggable_database_is_probed_from_the_root(tmp_path: Path) -> None:
    """The bridge mines in the root, the schema's owner logs in inside; other containers stay out."""
    needs_stand_in()
    with OracleProcess(tmp_path / "oracle.log", service="CDB", pdbs=("CCBPDB", "OTHERPDB")) as server:
        dsn = f"127.0.0.1:{server.port}/CDB"
        prepared(dsn, "CCBPDB")
        settings, within = bridge_settings(dsn, "CCBPDB"), inside(dsn, "CCBPDB")
        with system_session(within) as cursor:
            cursor.execute(enter_grant(settings.user).removesuffix(";"))
            grant_dictionary(cursor, settings.user)
            cursor.execute(f'create user {SCHEMA} identified by "{PASSWORD}" quota 100m on users')
            cursor.execute(f"grant create session, create table to {SCHEMA}")
        place = ScratchPlace(SCHEMA, SecretStr(PASSWORD), within)
        made = Trial("ccb", settings, place, Deadline(120), 0.0, lambda _: None, partial(parse_all, settings))
        made.run()
        found = {one.assumption.name: one for one in made.outcomes}
        for name in ("undo", "undo-lob", "query-is-complete", "oldest-open", "session-formats"):
            assert found[name].verdict is Verdict.HOLDS, found[name].reason
        assert found["source-container"].reason == "START and COMMIT: PDB; data: PDB"
        assert tables(within) == []
