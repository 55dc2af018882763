"""Recharges of the prepaid application into CC&B's upload staging tables, on the sandbox.

The whole way there: captured, staged, receipts built, checked and sent, and CC&B's own tables read back
from its redo, by which receipts are followed. The Oracle side is the stand-in, which shares the machine:
the figure says how fast the product can be, not how fast a CC&B database takes payments.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.bridge import peak_memory_mb, progress, wait_until
from benchmarks.cpu import CpuMeter
from sandbox.demo.product import Product
from sandbox.world import World

_RECHARGES = """
insert into recharge
    (recharge_id, ccb_account_id, amount, currency, channel, tender_type, status, recharged_at)
select 'B-' || n, account.id, 1 + (n %% 10000) / 100.0, 'XAF', 'app', 'momo', 'completed', now()
from generate_series(%(low)s::bigint, %(high)s::bigint) n
join (select ccb_account_id as id, row_number() over () - 1 as number, count(*) over () as accounts
      from account where may_vend) account on account.number = n %% account.accounts
"""
_LEFT = """
select (select count(*) from staging.receipt where state <> 'built'),
    (select coalesce(sum(rows), 0) from staging.flow_state where flow = 'capture:ccb')
"""
_AT_ONCE = 100
_TIMEOUT_S = 1_800
_LOOK_S = 1.0  # counting a large table costs the server what the product then misses


def rate(recharges: int) -> Iterator[dict[str, Any]]:
    """Drain a backlog of recharges, 100 to a transaction, until each was sent and seen in CI_PAY_TNDR_ST."""
    with tempfile.TemporaryDirectory() as folder, World(persons=2_000, tls=True) as world:
        product = Product(world, Path(folder))
        product.call("migrate")
        prepaid = world.prepaid.conninfo()
        with product.running():
            wait_until(lambda: product.settled(prepaid), timeout_s=120, what="the first snapshot")
        progress(f"payments: making {recharges} recharges")
        with psycopg.connect(prepaid, autocommit=True) as application:
            for low in range(1, recharges + 1, _AT_ONCE):
                application.execute(_RECHARGES, {"low": low, "high": min(recharges, low + _AT_ONCE - 1)})
        progress("payments: draining")
        started = time.perf_counter()
        with product.running(), psycopg.connect(product.staging, autocommit=True) as staging:
            meter = CpuMeter(
                {
                    "ccbridge": product.process.pid if product.process else 0,
                    "oracle_stand_in": world.oracle.pid or 0,
                    "postgres": world.postgres.pid or 0,
                }
            )
            sent_s = 0.0

            def done() -> bool:
                nonlocal sent_s
                product.require_alive()
                sent, seen = staging.execute(_LEFT.encode()).fetchone() or (0, 0)
                if sent == recharges and not sent_s:
                    sent_s = time.perf_counter() - started
                return (sent, seen) == (recharges, recharges)

            wait_until(
                done, timeout_s=_TIMEOUT_S, every_s=_LOOK_S, what="every receipt to be sent and read back"
            )
            elapsed, cpu = time.perf_counter() - started, meter.seconds()
            memory = peak_memory_mb(product.process.pid) if product.process else 0.0
        _require_equal(world, prepaid)
    yield {
        "bench": "prepaid_to_ccb_upload",
        "recharges": recharges,
        "sent_s": round(sent_s, 2),
        "seconds": round(elapsed, 2),
        "recharges_per_s": round(recharges / elapsed),
        "cpu_s": cpu,
        "recharges_per_cpu_s": round(recharges / cpu["ccbridge"]),
        "peak_memory_mb": round(memory),
    }


def _require_equal(world: World, prepaid: str) -> None:
    """Every recharge is in CC&B once, and the sums agree to the cent."""
    with world.ccb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select count(*), count(distinct EXT_REFERENCE_ID), sum(TENDER_AMT) from CISADM.CI_PAY_TNDR_ST"
        )
        found = cursor.fetchone()
    with psycopg.connect(prepaid) as application:
        expected = application.execute("select count(*), count(*), sum(amount) from recharge").fetchone()
    if found != expected:
        raise RuntimeError(f"CC&B holds {found}, prepaid {expected}: the figure would be useless")
