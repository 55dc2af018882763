"""kill -9 of the product under traffic, again and again: the same end state as without."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from sandbox.demo.product import Product
from sandbox.workload.crowd import Crowd, Pace
from sandbox.workload.verify import compare
from sandbox.world import World

KILLS = 20
SEED = 20_261_123
PACE = Pace(clerks=30, cash_desk=15, recharges=25, uploads=10)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kill_at_random_moments_loses_nothing_and_posts_nothing_twice() -> None:
    """However often and whenever the process dies: both sides equal, every recharge posted once."""
    killed_and_compared(KILLS)


@pytest.mark.timeout(240)
def test_a_few_kills_lose_nothing_and_post_nothing_twice() -> None:
    """The same, short enough for every run."""
    killed_and_compared(4)


def killed_and_compared(kills: int) -> None:
    """Kill `ccbridge run` that often while people work, then let it drain and compare both sides."""
    moments = random.Random(SEED + kills)  # noqa: S311 - moments, not secrets
    with tempfile.TemporaryDirectory() as folder, World(persons=300, seed=SEED, tls=True) as world:
        product = Product(world, Path(folder))
        product.call("migrate")
        early = kills // 4
        for _ in range(early):  # during start-up and the first snapshot
            killed_after(product, moments.uniform(1.5, 4.0))
        with product.running():  # customers who can recharge
            wait_until_settled(product, world)
        with Crowd(world.ccb, world.prepaid, seed=7, pace=PACE) as crowd:
            for _ in range(kills - early):
                killed_after(product, moments.uniform(2.0, 9.0))
            with product.running():
                crowd.rest()
                wait_until_settled(product, world)
        differences = compare(world.ccb, world.prepaid)
        assert not len(differences), str(differences)
        assert differences.posted == differences.recharges > 0
        with psycopg.connect(product.staging) as staging:
            twice = staging.execute(
                "select source_position, source_ordinal from staging.change where operation <> 'r' "
                "group by system, source_position, source_ordinal having count(*) > 1"
            ).fetchall()
        assert twice == []


def killed_after(product: Product, seconds: float) -> None:
    """Run the product for so long, whatever it is doing then, and kill it."""
    process = product.start()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


def wait_until_settled(product: Product, world: World) -> None:
    """Return when nothing is under way any more; fail with the product's log after two minutes."""
    deadline = time.monotonic() + 120
    while True:
        product.require_alive()
        if product.settled(world.prepaid.conninfo()):
            return
        assert time.monotonic() < deadline, product.log.read_text()[-4000:]
        time.sleep(0.5)
