"""What a probe consists of: one check for each assumption, the manual's tables, deadlines, redaction."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cdc.assumptions import Assumption, Deadline, NotTried, Report, Said, Verdict, holds, judge, tried
from cdc.errors import DatabaseUnreachable, NotGranted
from cdc.readers.logminer.probing import kind_checks, redo_checks, value_checks
from cdc.readers.logminer.probing.assumptions import ASSUMPTIONS
from cdc.readers.logminer.probing.call_checks import CallChecks
from cdc.readers.logminer.probing.recording import RECORDED, Redaction
from cdc.readers.logminer.probing.view_checks import ViewChecks
from cdc.readers.logminer.probing.watch import Watch
from cdc.readers.logminer.probing.workload import OPEN_STEP, STEPS, TABLES
from cdc.readers.pgoutput.probing.assumptions import ASSUMPTIONS as POSTGRES

ROOT = Path(__file__).parents[4]
READERS = ROOT / "cdc/readers/logminer"


def printed(vendor: str) -> list[tuple[str, ...]]:
    """The manual's table of assumptions about a vendor's database."""
    text = (ROOT / "docs/probe.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- assumptions: {vendor} -->(.*?)<!-- end -->", text, re.DOTALL)
    assert found is not None
    lines = [line for line in found[1].splitlines() if line.startswith("| `")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def as_printed(assumptions: tuple[Assumption, ...]) -> list[tuple[str, ...]]:
    """The rows that the manual must have."""
    return [(f"`{one.name}`", one.belief, one.source, one.used_by) for one in assumptions]


def test_the_manual_prints_the_assumptions_about_oracle() -> None:
    """A DBA reads in the manual exactly what the probe tries."""
    assert printed("oracle") == as_printed(ASSUMPTIONS)


def test_the_manual_prints_the_assumptions_about_postgresql() -> None:
    """The same for PostgreSQL, whose names are unique too."""
    assert printed("postgres") == as_printed(POSTGRES)
    assert len({one.name for one in POSTGRES}) == len(POSTGRES)


def test_every_assumption_has_a_name_of_its_own_and_a_source() -> None:
    """A belief without a source would be a guess."""
    assert len({one.name for one in ASSUMPTIONS}) == len(ASSUMPTIONS)
    assert all(one.belief and one.source for one in ASSUMPTIONS)


def test_every_assumption_about_oracle_names_modules_that_exist() -> None:
    """Anyone who changes a module finds what it relies on."""
    rooms = (READERS, ROOT / "cdc/oracle", ROOT / "sinks")
    modules = {path.stem for room in rooms for path in room.rglob("*.py")}
    for one in ASSUMPTIONS:
        named = re.sub(r" \([^)]*\)", "", one.used_by).split(", ")
        assert set(named) <= modules | {"probing"}, one.name


def test_there_is_one_check_for_each_assumption_about_oracle() -> None:
    """None is forgotten, none is tried twice."""
    views = ViewChecks("ccb", None, None, None, None, None).checks  # type: ignore[arg-type]
    calls = CallChecks("ccb", None, None, None, lambda: None).checks  # type: ignore[arg-type]
    parse = {"statements-parse": None}
    groups = [parse, redo_checks.CHECKS, kind_checks.CHECKS, value_checks.CHECKS, views, calls]
    names = [name for group in groups for name in group]
    assert sorted(names) == sorted(one.name for one in ASSUMPTIONS)


def test_the_workload_uses_every_table_and_no_name_twice() -> None:
    """A table that nothing changes would show nothing."""
    assert len({step.name for step in STEPS} | {OPEN_STEP.name}) == len(STEPS) + 1
    used = {table for step in STEPS for table in step.tables} | {"CCBP_STEP", "CCBP_BEAT"}
    assert {table.name for table in TABLES} == used
    assert all(table.name.startswith("CCBP_") for table in TABLES)


A, B, C = (Assumption(name, "it is so", "a test", "nothing") for name in "abc")


def test_what_keeps_one_check_from_being_made_leaves_the_others() -> None:
    """A missing right is the reason of the assumptions that need it, with its grant."""

    def not_granted() -> Said:
        raise NotGranted("no right", hint="grant it")

    def not_here() -> Said:
        raise NotTried("not in this release")

    checks = {"a": not_granted, "b": not_here, "c": lambda: holds("seen")}
    found = list(tried((A, B, C), checks, Deadline(60)))
    assert [(one.verdict, one.reason, one.hint) for one in found] == [
        (Verdict.COULD_NOT_TRY, "no right", "grant it"),
        (Verdict.COULD_NOT_TRY, "not in this release", ""),
        (Verdict.HOLDS, "seen", ""),
    ]


def test_no_check_begins_after_the_deadline() -> None:
    """Five minutes are five minutes; what was not reached is named."""
    (one,) = tried((A,), {"a": lambda: pytest.fail("was begun")}, Deadline(0))
    assert one.verdict is Verdict.COULD_NOT_TRY
    assert "seconds of the probe were over" in one.reason


@pytest.mark.parametrize(
    ("differing", "unreachable", "code"),
    [(False, False, 0), (True, False, 1), (False, True, 3), (True, True, 3)],
)
def test_the_exit_code_says_the_worst(*, differing: bool, unreachable: bool, code: int) -> None:
    """A script can tell a database that does otherwise from one that is down."""
    outcomes = list(tried((A,), {"a": lambda: judge(not differing, "seen")}, Deadline(60)))
    report = Report(outcomes, DatabaseUnreachable("down") if unreachable else None)
    assert report.exit_code == code


def test_a_recorded_row_of_another_schema_keeps_no_text_and_no_name() -> None:
    """A trigger or recursive work in our transaction may touch other tables."""
    redaction = Redaction(
        "PROBE", {"PROBE": "SCRATCH"}, {"CCBPDB": "PDB"}, frozenset(("probe",)), frozenset((7,))
    )
    row = dict.fromkeys(RECORDED) | {
        "OPERATION_CODE": 1,
        "SEG_OWNER": "CISADM",
        "TABLE_NAME": "CI_PER",
        "SQL_REDO": "insert ..",
        "USERNAME": "JOE",
        "CLIENT_ID": "web",
        "SRC_CON_NAME": "SALES",
        "DATA_OBJ#": 12,
    }
    shown = redaction.row(row)
    assert (shown["SEG_OWNER"], shown["TABLE_NAME"], shown["SQL_REDO"]) == ("OTHER", "OTHER", None)
    assert (shown["USERNAME"], shown["CLIENT_ID"], shown["SRC_CON_NAME"]) == ("OTHER", "OTHER", "OTHER")


def test_a_recorded_row_of_the_probe_keeps_its_text_without_the_schema() -> None:
    """Test rows are what the file is for; an undecoded one is known by its object."""
    redaction = Redaction(
        "PROBE", {"PROBE": "SCRATCH"}, {"CCBPDB": "PDB"}, frozenset(("probe",)), frozenset((7,))
    )
    row = dict.fromkeys(RECORDED) | {
        "OPERATION_CODE": 1,
        "SEG_OWNER": "PROBE",
        "TABLE_NAME": "CCBP_PLAIN",
        "USERNAME": "PROBE",
        "CLIENT_ID": "probe",
        "SQL_REDO": 'insert into "PROBE"."CCBP_PLAIN" values (\'PROBE\')',
        "SRC_CON_NAME": "CCBPDB",
    }
    shown = redaction.row(row)
    assert shown["SQL_REDO"] == 'insert into "SCRATCH"."CCBP_PLAIN" values (\'PROBE\')'
    assert (shown["SEG_OWNER"], shown["USERNAME"], shown["SRC_CON_NAME"]) == ("SCRATCH", "SCRATCH", "PDB")
    undecoded = redaction.row({**row, "SEG_OWNER": "UNKNOWN", "TABLE_NAME": "OBJ# 7", "DATA_OBJ#": 7})
    assert (undecoded["SEG_OWNER"], undecoded["TABLE_NAME"]) == ("UNKNOWN", "OBJ# 7")
    assert undecoded["SQL_REDO"] is not None


def test_the_watch_sums_up_in_a_histogram() -> None:
    """A DBA sees how long a commit takes to show, not one average."""
    watch = Watch(steps_s=[3.0, 3.0], waits_s=[0.2, 1.4, 2.9, 3.1, 12.0], looks=600)
    assert watch.histogram == "<=0.25: 1, <=2: 1, <=3: 1, <=3.5: 1, >10: 1"
    assert "5 commits, passed after 2.9 s (median), 12.0 s at most, moved 2 times" in watch.summary
    assert Watch(looks=4).summary == "no commit was passed in 4 looks"
