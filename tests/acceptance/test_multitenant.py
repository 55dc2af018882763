"""CC&B in a pluggable database, with just what `ccbridge grants` prints.

Replicated by a common user who mines in the root; and by a local one who mines inside, as where no one may
enter the root.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.ccb.database import create
from sandbox.world import World
from tests.acceptance.site import CANARIES, Site, eventually, statements

USER = "C##CCBRIDGE"
PDBS = ("CCBPDB", "OTHERPDB")
NAME = (
    "update CISADM.CI_PER_NAME set ENTITY_NAME = 'Here In The Container' "
    "where PRIM_NAME_SW = 'Y' and PER_ID = (select min(PER_ID) from CISADM.CI_PER_NAME)"
)


@pytest.fixture
def multitenant(tmp_path: Path) -> Iterator[Site]:
    """An installation on a database with two pluggable databases, the same application in both."""
    with World(tmp_path / "world", persons=20, tls=True, pdbs=PDBS) as world:
        create(replace(world.ccb, service=PDBS[1]))
        site = Site(world, tmp_path, "cdb").create_databases()
        text = site.config.read_text(encoding="utf-8")
        root = replace(world.ccb, service="CCB")
        text = text.replace(world.ccb.tls_dsn, root.tls_dsn).replace('user = "CCBRIDGE"', f'user = "{USER}"')
        text = text.replace(
            'kind = "oracle"', 'kind = "oracle"\npdb = "CCBPDB"\napply_log = "CM_CCBRIDGE_APPLY"'
        )
        site.config.write_text(text, encoding="utf-8")
        try:
            yield site
        finally:
            site.close()


def test_replication_of_a_pluggable_database(multitenant: Site) -> None:
    """Check is content, both directions flow, and what is written next door is not ours."""
    site = multitenant
    root = replace(site.ccb, service="CCB")
    script = site.call("grants", "--system", "ccb").out
    with root.connect("SYSTEM") as connection, connection.cursor() as cursor:
        cursor.execute(f'create user {USER} identified by "{CANARIES["CCBRIDGE"]}"')
        for statement in statements("\n".join(line for line in script.splitlines() if line[:2] != "--")):
            cursor.execute(statement)
    assert site.call("migrate").code == 0
    checked = site.call("check")
    assert (checked.code, checked.out) == (0, "check ok\n")
    with site.running():
        neighbour = replace(site.ccb, service=PDBS[1])
        with neighbour.connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                "insert into CISADM.CI_PER_NAME (PER_ID, SEQ_NUM, ENTITY_NAME, NAME_TYPE_FLG, VERSION, "
                "PRIM_NAME_SW, ENTITY_NAME_UPR) "
                "values ('9999999999', 1, 'Next Door', 'PRIM', 1, 'Y', 'NEXT DOOR')"
            )
            connection.commit()
        site.oracle(NAME)
        query = "select 1 from customer where full_name = 'Here In The Container'"
        eventually(lambda: site.app(query), "the name in prepaid")
        site.recharge("cdb-1")
        eventually(lambda: ("cdb-1", "sent") in site.receipts(), "the recharge in CC&B's upload tables")
        # the upload's own rows come back, are known by their row in the apply log, and are counted
        counted = (
            "select sum((t.value ->> 'suppressed')::int) from staging.batch, jsonb_each(counts) as t "
            "where system = 'ccb' and t.key = 'CISADM.CI_PAY_TNDR_ST'"
        )
        eventually(lambda: site.staging(counted) == [(1,)], "the echo, left out and counted")
    assert site.oracle("select count(*) from CISADM.CM_CCBRIDGE_APPLY", user="CISADM") == [(1,)]
    seen = "select count(*) from staging.change where strpos(after::text, 'Next Door') > 0"
    assert site.staging(seen) == [(0,)]
    reported = site.call("status")
    assert "CISADM.CI_PAY_TNDR_ST" in reported.out
    assert site.leaked() == []


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Site]:
    """An installation whose dsn leads to the pluggable database, the same application next door."""
    with World(tmp_path / "world", persons=20, tls=True, pdbs=PDBS) as world:
        create(replace(world.ccb, service=PDBS[1]))
        site = Site(world, tmp_path, "pdb").create_databases()
        text = site.config.read_text(encoding="utf-8").replace('user = "CCBRIDGE"', 'user = "LOCALBRIDGE"')
        site.config.write_text(text, encoding="utf-8")
        try:
            yield site
        finally:
            site.close()


@pytest.mark.slow
def test_replication_from_inside_a_pluggable_database(inside: Site) -> None:
    """Check, both directions, log switches, and redo that is gone: nothing of it needs the root."""
    site = inside
    script = site.call("grants", "--system", "ccb", "--inside-pdb").out
    assert "V_$LOG " not in script
    with site.ccb.connect("SYSTEM") as connection, connection.cursor() as cursor:
        cursor.execute(f'create user LOCALBRIDGE identified by "{CANARIES["CCBRIDGE"]}"')
        for line in script.splitlines():
            if line[:2] != "--":
                cursor.execute(line if line.startswith("begin") else line.removesuffix(";"))
    assert site.call("migrate").code == 0
    checked = site.call("check")
    assert (checked.code, checked.out) == (0, "check ok\n")
    root = replace(site.ccb, service="CCB")

    def in_root(*statements: str) -> None:
        with root.connect("SYSTEM") as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    with site.running():
        neighbour = replace(site.ccb, service=PDBS[1])
        with neighbour.connect() as connection, connection.cursor() as cursor:
            cursor.execute("update CISADM.CI_PER_NAME set ENTITY_NAME = 'Next Door'")
            connection.commit()
        in_root("alter system switch logfile")
        site.oracle(NAME)
        query = "select 1 from customer where full_name = 'Here In The Container'"
        eventually(lambda: site.app(query), "the name in prepaid")
        site.recharge("pdb-1")
        eventually(lambda: ("pdb-1", "sent") in site.receipts(), "the recharge in CC&B's upload tables")
    seen = "select count(*) from staging.change where strpos(after::text, 'Next Door') > 0"
    assert site.staging(seen) == [(0,)]
    in_root(*["alter system switch logfile"] * 4, "begin sandbox_faults.purge_logs(how => 'DELETED'); end;")
    gone = site.call("check", "--format", "json")
    assert (gone.code, [row["subject"] for row in gone.rows()]) == (4, ["archived logs"])
    in_root("begin sandbox_faults.restore_logs; end;")
    assert site.call("check").code == 0
    assert site.leaked() == []


def test_grants_say_where_a_pluggable_database_cannot_be_named(multitenant: Site) -> None:
    """On Amazon RDS, and inside, there is no root to grant in; a name is taken as Oracle stores it."""
    for option in ("--rds", "--inside-pdb"):
        refused = multitenant.call("grants", "--system", "ccb", option)
        assert refused.code == 2
        assert "--inside-pdb" in refused.err
    quoted = multitenant.call("grants", "--system", "ccb", "--pdb", '"small"').out
    assert 'alter session set container = "small";' in quoted
    assert (
        'alter session set container = "OTHER";'
        in multitenant.call("grants", "--system", "ccb", "--pdb", "other").out
    )
