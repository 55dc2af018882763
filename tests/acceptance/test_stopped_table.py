"""A CC&B table that loses something: it alone stands still, and status says so until it is read again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.world import World
from tests.acceptance.site import CANARIES, Site, eventually


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """An installation on servers of its own: the table is gone for good."""
    with World(persons=10, tls=True) as world:
        with world.ccb.connect("SYSTEM") as connection, connection.cursor() as cursor:
            cursor.execute(f'alter user CCBRIDGE identified by "{CANARIES["CCBRIDGE"]}"')
        site = Site(world, tmp_path, "stopped").create_databases()
        try:
            assert site.call("migrate").code == 0
            yield site
        finally:
            site.close()


def test_truncated_table_stops_alone_and_status_says_so(own_site: Site) -> None:
    """A DBA sees table, loss and what to do; names are still carried over, also after a restart."""
    renamed = "select 1 from customer where full_name = %s"
    for name in ("Before Restart", "After Restart"):
        with own_site.running() as running:
            if name == "Before Restart":
                own_site.oracle("truncate table CISADM.CI_ACCT_PER", user="CISADM")
            own_site.oracle(
                "update CISADM.CI_PER_NAME set ENTITY_NAME = :name "
                "where PER_ID = (select min(PER_ID) from CISADM.CI_PER_NAME) and PRIM_NAME_SW = 'Y'",
                name=name,
            )
            eventually(lambda name=name: own_site.app(renamed, name), name, hint=running.text)  # type: ignore[misc]
            eventually(lambda: own_site.call("status").code == 1, "status with exit code 1")
            said = own_site.call("status").out
            assert "capture:ccb: CDC-103: ccb: TRUNCATE of CISADM.CI_ACCT_PER removed: all rows" in said
            assert "delete from staging.checkpoint" in said
