"""`ccbridge probe`, as a DBA uses it on the first day: what it prints and leaves behind, its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import replay_probe
from tests.acceptance.site import Done, Site, eventually

SCHEMA, PASSWORD = "CCBPROBE", "Kanarie-probe-4714"
ORACLE = ("probe", "oracle", "--scratch", SCHEMA, "--watch", "0")


def tables(site: Site) -> list[str]:
    """Tables of the scratch schema."""
    found = site.oracle("select table_name from all_tables where owner = :owner", "SYSTEM", owner=SCHEMA)
    return sorted(name for (name,) in found)


def verdicts(done: Done) -> dict[str, str]:
    """Verdict by assumption of `--format json`."""
    return {row["assumption"]: row["verdict"] for row in done.rows()}


@pytest.fixture
def site(offline: Site) -> Iterator[Site]:
    """A configured installation, and a scratch schema made as the manual says."""
    offline.environment["CCBRIDGE_PROBE_PASSWORD"] = PASSWORD
    offline.oracle(f'create user {SCHEMA} identified by "{PASSWORD}" quota 100m on users', "SYSTEM")
    offline.oracle(f"grant create session, create table to {SCHEMA}", "SYSTEM")
    yield offline
    assert PASSWORD not in "".join(offline.transcript)
    offline.oracle(f"drop user {SCHEMA} cascade", "SYSTEM")


def test_a_probe_says_what_it_found_and_writes_a_recording(site: Site, tmp_path: Path) -> None:
    """Table, counts and exit code agree; the file replays; nothing is left in the schema."""
    file = tmp_path / "probe.jsonl"
    done = site.call(*ORACLE, "--file", str(file))
    lines = done.out.splitlines()
    assert lines[0].split() == ["assumption", "verdict", "reason"]
    shown = {line.split()[0]: line for line in lines[1:]}
    for name in ("undo", "undo-lob", "commit-scn", "many-rows", "date-text", "text-values", "cancel"):
        assert shown[name].split()[1] == "holds", shown[name]
    assert "V$THREAD was not watched" in shown["last-redo-moves"]
    differing = [line for line in lines if " differs " in line]
    assert done.code == (1 if differing else 0)
    assert lines[-1].startswith("probe: ")
    assert f"{len(differing)} differ" in lines[-1]
    assert " s of 300 s: " in done.err
    assert replay_probe.main([str(file)]) == 0
    text = file.read_text(encoding="utf-8")
    assert not any(name in text for name in (SCHEMA, "CCBRIDGE", "localhost", PASSWORD))
    assert tables(site) == []


@pytest.mark.slow
def test_a_database_that_does_otherwise_is_exit_code_1(site: Site) -> None:
    """An error where the probe expects none is a difference, with the error as reason."""
    site.oracle(
        "begin sandbox_faults.add_error(code => 1291, statement => 'start_logmnr', username => 'CCBRIDGE', "
        "skip => 4, times => 1000); end;",
        "SYSTEM",
    )
    try:
        done = site.call(*ORACLE, "--format", "json")
    finally:
        site.oracle("begin sandbox_faults.clear; end;", "SYSTEM")
    found = {row["assumption"]: row for row in done.rows()}
    assert found["end-at-last-redo"]["verdict"] == "differs"
    assert "ORA-01291" in found["end-at-last-redo"]["reason"]
    assert found["undo"]["verdict"] == "holds"
    assert done.code == 1


def test_a_refused_login_is_exit_code_3_and_tried_once(site: Site) -> None:
    """A second try with a wrong password can lock the account."""
    done = site.call(*ORACLE, "--format", "json", CCBRIDGE_SYSTEMS__CCB__PASSWORD="Kanarie!wrong")
    assert done.code == 3
    assert set(verdicts(done).values()) == {"could not try"}
    assert all("ORA-01017" in row["reason"] for row in done.rows())
    assert "Kanarie!wrong" not in done.out + done.err


def test_a_schema_that_does_not_exist_is_named_with_the_statements_that_make_it(site: Site) -> None:
    """What needs no test table is tried all the same, and no one tries to log in."""
    done = site.call("probe", "oracle", "--scratch", "NOSUCH", "--watch", "0")
    assert "undo" in done.out
    assert "there is no schema NOSUCH" in done.out
    assert "hint: create user NOSUCH identified by" in done.out
    assert "hint: grant create session, create table to NOSUCH;" in done.out
    assert " holds" in next(line for line in done.out.splitlines() if line.startswith("session-formats"))
    assert done.code == 0


def test_a_wrong_password_of_the_schema_is_its_own_reason(site: Site) -> None:
    """The bridge's login is in order; only what needs the schema could not be tried."""
    done = site.call(*ORACLE, "--format", "json", CCBRIDGE_PROBE_PASSWORD="Kanarie!wrong")
    found = {row["assumption"]: row for row in done.rows()}
    assert found["undo"]["verdict"] == "could not try"
    assert "ORA-01017" in found["undo"]["reason"]
    assert found["undo"]["hint"] == "correct CCBRIDGE_PROBE_PASSWORD"
    assert found["thread-states"]["verdict"] == "holds"


@pytest.mark.parametrize(
    ("revoked", "granted", "reason"),
    [
        ("select on sys.v_$thread", "grant select on sys.V_$THREAD to CCBRIDGE;", "V$THREAD"),
        pytest.param(
            "execute on sys.dbms_logmnr",
            "grant execute on sys.DBMS_LOGMNR to CCBRIDGE;",
            "DBMS_LOGMNR",
            marks=pytest.mark.slow,
        ),
        pytest.param("create table", f"grant create table to {SCHEMA};", "ORA-01031", marks=pytest.mark.slow),
    ],
)
def test_a_missing_right_is_reported_with_its_grant(
    site: Site, revoked: str, granted: str, reason: str
) -> None:
    """Running the hint is all that is needed."""
    site.oracle(f"revoke {revoked} from {granted.removesuffix(';').split()[-1]}", "SYSTEM")
    try:
        done = site.call(*ORACLE, "--format", "json")
    finally:
        site.oracle(granted.removesuffix(";"), "SYSTEM")
    undo = next(row for row in done.rows() if row["assumption"] == "undo")
    assert undo["verdict"] == "could not try"
    assert reason in undo["reason"]
    assert granted in undo["hint"].splitlines()
    assert tables(site) == []


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_probe_drops_its_tables(site: Site, number: signal.Signals) -> None:
    """Ctrl-C, and the signal of a service manager, leave nothing behind."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cdc.cli", *ORACLE, "--format", "json"],
        env={**os.environ, **site.environment, "CCBRIDGE_CONFIG": str(site.config)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually(lambda: "CCBP_LOB" in tables(site), "the tables are there")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    site.transcript += [out, err]
    assert tables(site) == []
    assert "interrupted; the test tables are dropped" in err
    assert {json.loads(line)["reason"] for line in out.splitlines()} == {"the probe was interrupted"}
    assert process.returncode == 0


def test_a_table_that_no_probe_made_is_refused(site: Site) -> None:
    """A table of the site is neither dropped nor changed."""
    site.oracle(f"create table {SCHEMA}.CCBP_LOB (X number)", "SYSTEM")
    done = site.call(*ORACLE)
    assert done.code == 4
    assert "tables that no probe made: CCBP_LOB" in done.err
    assert "hint: name another scratch schema" in done.err
    assert tables(site) == ["CCBP_LOB"]


def test_a_system_that_is_not_meant_is_a_failure_of_usage(offline: Site) -> None:
    """The systems that could be meant are named."""
    done = offline.call("probe", "oracle", "prepaid")
    assert done.code == 2
    assert "which system of kind oracle? the configuration has: ccb" in done.err


def test_every_statement_parses_for_the_tables_of_the_rule_set(offline: Site) -> None:
    """No scratch schema is needed; the captured tables and those of the payment upload are looked at."""
    done = offline.call("probe", "oracle", "--statements", "--format", "json")
    found = {row["assumption"]: row for row in done.rows()}
    assert {row["verdict"] for row in done.rows()} <= {"holds", "could not try"}
    assert found["session.LOOK"]["reason"] == "parsed"
    assert found["snapshot CISADM.CI_PER"]["verdict"] == "holds"
    assert found["re-select CISADM.CI_ACCT 500 x 1"]["verdict"] == "holds"
    assert found["upload 1"]["verdict"] == "holds"
    assert found["connect.SESSION_FORMATS"]["reason"] == "ran at login"
    assert "grant select on sys.V_$MYSTAT to CCBRIDGE;" in found["session.PGA"]["hint"]
    assert done.code == 0


def test_a_statement_that_this_release_does_not_know_differs(offline: Site) -> None:
    """A column that a release does not have is found without running anything."""
    offline.oracle("alter table CISADM.CI_TNDR_SRCE rename column EXT_SOURCE_ID to EXT_SOURCE", "SYSTEM")
    try:
        done = offline.call("probe", "oracle", "--statements")
    finally:
        offline.oracle("alter table CISADM.CI_TNDR_SRCE rename column EXT_SOURCE to EXT_SOURCE_ID", "SYSTEM")
    assert "CI_TNDR_SRCE.EXT_SOURCE_ID" in done.out


def test_a_postgresql_system_is_probed(offline: Site) -> None:
    """Every assumption has a line; the bridge's own role and address are those that are tried."""
    offline.create_databases()
    done = offline.call("probe", "postgres", "prepaid", "--format", "json")
    found = {row["assumption"]: row for row in done.rows()}
    for name in ("version", "wal-level", "replication-session", "settings-persist", "text-forms"):
        assert found[name]["verdict"] == "holds", found[name]
    assert found["decoding"]["verdict"] == "could not try"
    assert "--scratch" in found["decoding"]["hint"]
    assert done.code == 0
    assert offline.untouched()


def test_a_postgresql_system_that_is_down_is_exit_code_3(offline: Site) -> None:
    """A monitoring script can tell it from a difference."""
    done = offline.call("probe", "postgres", CCBRIDGE_SYSTEMS__PREPAID__PORT="1")
    assert done.code == 3
    assert done.out.splitlines()[-1].startswith("probe: 0 hold, 0 differ, ")
