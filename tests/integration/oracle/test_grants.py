"""Least privilege in Oracle: what `ccbridge grants` prints suffices, and each line of it is needed.

Every line is revoked for itself; then `check` must say so, and what it prints must fix it. On a database
without containers; on a multitenant one where another pluggable database has the same tables, mined from the
root; and from within the pluggable database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache

import oracledb
import pytest

from cdc.config import Settings
from cdc.flows import wiring
from cdc.flows.checks.grants import grants
from cdc.flows.checks.preflight import Report
from cdc.ports import Finding
from cdc.rule_set import load_rules
from mapping_rules import RuleSet
from sandbox.ccb.database import CcbDatabase, create
from sandbox.oracle_process import OracleProcess
from sinks.ccb_payment_upload.kind import upload_of

SECRET = "bridge"
PDBS = ("CCBPDB", "OTHERPDB")
INSIDE = "inside CCBPDB"
"""The kind of place where LogMiner runs inside the pluggable database."""
KINDS = (None, PDBS[0], INSIDE)
APPLY_LOGS = ("CM_CCBRIDGE_APPLY", "CM_SECOND_APPLY")


def settings_of(dsn: str, kind: str | None) -> Settings:
    """A configuration with this Oracle system; nothing of it connects to staging."""
    pdb = kind if kind in PDBS else None
    return Settings.model_validate(
        {
            "staging": {"host": "nowhere", "database": "staging", "user": "ccbridge"},
            "systems": {
                "ccb": {
                    "kind": "oracle",
                    "dsn": dsn,
                    "user": "C##BRIDGE" if pdb else "BRIDGE",
                    "pdb": pdb,
                    "password": SECRET,
                    "insecure": True,
                    "apply_log": APPLY_LOGS[kind == INSIDE],
                }
            },
        }
    )


@cache
def rules() -> RuleSet:
    return load_rules(settings_of("nowhere/none", None))


@cache  # reads the rule set
def script(kind: str | None) -> list[str]:
    """The statements that `ccbridge grants` prints."""
    lines = grants(settings_of("nowhere/none", kind), "ccb", user=None, pdb=None, inside=kind == INSIDE)
    return [line for line in lines if not line.startswith("--")]


@dataclass(frozen=True)
class Place:
    """A database with CC&B and the bridge's user, granted what the script says."""

    root: CcbDatabase
    kind: str | None

    @property
    def settings(self) -> Settings:
        return settings_of(self.root.dsn, self.kind)

    def run(self, *statements: str) -> None:
        """Run statements as SYSTEM in one session that begins where the bridge's does."""
        with self.root.connect("SYSTEM") as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement if statement.startswith("begin") else statement.rstrip(";"))

    def look(self) -> list[Finding]:
        """What `ccbridge check` finds in this system, without advice."""
        report = Report()
        for opened in (
            wiring.open_reader(self.settings, rules(), "ccb"),
            upload_of(self.settings, "ccb"),
        ):
            with closing(opened):
                report.run_check("ccb", opened.preflight)
        assert report.advice == []
        return [one.finding for one in report.findings]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str | None, Place]]:
    """Both kinds of database."""
    folder = tmp_path_factory.mktemp("oracle")
    with (
        OracleProcess(folder / "plain.log") as plain,
        OracleProcess(folder / "multitenant.log", pdbs=PDBS) as multitenant,
    ):
        made: dict[str | None, Place] = {}
        for server, pdbs in ((plain, (None,)), (multitenant, PDBS)):
            root = CcbDatabase("127.0.0.1", server.port)
            for pdb in pdbs:
                create(replace(root, service=pdb or root.service))
            made[pdbs[0]] = Place(root, pdbs[0])
        made[INSIDE] = Place(replace(root, service=PDBS[0]), INSIDE)
        for kind, place in made.items():
            place.run(f'create user {place.settings.systems["ccb"].user} identified by "{SECRET}"')
            place.run(*script(kind))
        yield made


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_printed_suffices(places: dict[str | None, Place], kind: str | None) -> None:
    """With the script and nothing else there is no finding, and no advice to take rights away."""
    assert places[kind].look() == []


CASES = [
    pytest.param(kind, line, id=f"{kind or 'plain'}: {line}")
    for kind in KINDS
    for line in script(kind)
    if not line.startswith(("alter session", "create table"))
    if kind != INSIDE or line.startswith(("begin", "grant logmining", "grant execute", "grant select on sys"))
]


@pytest.mark.parametrize(("kind", "line"), CASES)
def test_each_printed_right_is_needed_and_named_when_missing(
    places: dict[str | None, Place], kind: str | None, line: str
) -> None:
    """Without that one line check names what is missing; the SQL that it prints is run."""
    place = places[kind]
    lines = script(kind)
    enter = next((each for each in lines if each.startswith("alter session")), None)
    inside = [enter] if enter is not None and lines.index(line) > lines.index(enter) else []
    place.run(*inside, revoked(line))
    found = place.look()
    assert found
    what = line.partition(" to ")[0].partition(" on ")[2] or line.split()[1].partition("(")[0]
    assert any(plain(what) in plain(finding.fix) for finding in found)
    for finding in found:
        fixes = finding.fix.splitlines()
        place.run(*(each for each in fixes if each and not each.startswith("create table")))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_printed_has_fixed_all(places: dict[str | None, Place], kind: str | None) -> None:
    """After all was revoked, and granted as printed, nothing is missing."""
    assert places[kind].look() == []


@pytest.mark.parametrize("given", ["dba", "select any table"])
def test_what_was_granted_in_all_containers_is_revoked_in_all(
    places: dict[str | None, Place], given: str
) -> None:
    """Found once though the user has it in both containers; without the clause REVOKE would be refused."""
    place = places[PDBS[0]]
    place.run(f"grant {given} to C##BRIDGE container = all")
    (finding,) = place.look()
    assert finding.fix == f"revoke {given.upper()} from C##BRIDGE container = all;"
    place.run(finding.fix)
    assert place.look() == []


def revoked(line: str) -> str:
    """The statement that undoes a line."""
    if line.startswith("alter user"):
        return f"{line.partition(' set ')[0]} set container_data = default container = current"
    if line.startswith("begin"):
        return line.replace(".grant_", ".revoke_")
    return line.replace("grant ", "revoke ").replace(" to ", " from ")


def plain(text: str) -> str:
    return text.replace('"', "").casefold()


def test_the_rights_reach_no_other_container(places: dict[str | None, Place]) -> None:
    """The user is in every container, and can do nothing in the one that is not replicated."""
    place = places[PDBS[0]]
    system = place.settings.systems["ccb"]
    elsewhere = replace(place.root, service=PDBS[1]).dsn
    with pytest.raises(oracledb.DatabaseError, match="ORA-01045"):
        oracledb.connect(user=system.user, password=SECRET, dsn=elsewhere)
    with (
        oracledb.connect(user=system.user, password=SECRET, dsn=place.root.dsn) as connection,
        connection.cursor() as cursor,
        pytest.raises(oracledb.DatabaseError, match="ORA-01031"),
    ):
        cursor.execute(f"alter session set container = {PDBS[1]}")
