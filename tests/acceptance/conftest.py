"""The servers that all acceptance tests share, and an installation for each test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from sandbox.world import World
from tests.acceptance.site import CANARIES, Site

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """PostgreSQL and CC&B with 50 persons; the bridge's Oracle password is a canary."""
    with World(persons=50, tls=True) as world:
        with world.ccb.connect("SYSTEM") as connection, connection.cursor() as cursor:
            cursor.execute(f'alter user CCBRIDGE identified by "{CANARIES["CCBRIDGE"]}"')
        yield world


@pytest.fixture
def offline(world: World, tmp_path: Path) -> Iterator[Site]:
    """A configured installation whose databases do not exist yet."""
    yield from _installed(Site(world, tmp_path, f"t{next(_NUMBERS)}"))


@pytest.fixture
def site(world: World, tmp_path: Path) -> Iterator[Site]:
    """A configured installation with empty databases; whatever it said held no secret."""
    yield from _installed(Site(world, tmp_path, f"t{next(_NUMBERS)}").create_databases())


@pytest.fixture(scope="session")
def template(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of a migrated staging database to copy."""
    site = Site(world, tmp_path_factory.mktemp("template"), "template").create_databases()
    try:
        done = site.call("migrate")
        assert done.code == 0, done.err
        site.disconnect()  # a database in use cannot be copied
        yield site.staging_name
    finally:
        site.close()


@pytest.fixture
def migrated(world: World, template: str, tmp_path: Path) -> Iterator[Site]:
    """A configured installation with a staging schema; whatever it said held no secret."""
    yield from _installed(Site(world, tmp_path, f"t{next(_NUMBERS)}").create_databases(like=template))


def _installed(site: Site) -> Iterator[Site]:
    try:
        yield site
        leaked = site.leaked()
    finally:
        site.close()
    assert leaked == []
