"""CC&B in a pluggable database, replicated by a common user with just what `ccbridge grants` prints."""

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
    told = site.call("status")
    assert "CISADM.CI_PAY_TNDR_ST" in told.out
    assert site.leaked() == []
