"""Recharges of the prepaid application into CC&B's upload staging tables, on the sandbox.

The Oracle side is the stand-in, which shares the machine: the figure says how fast the product can
be, not how fast a CC&B database takes payments.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.bridge import peak_memory_mb, wait_until
from cdc.cli.demo_product import Product
from sandbox.world import World

_RECHARGES = """
insert into recharge
    (recharge_id, ccb_account_id, amount, currency, channel, tender_type, status, recharged_at)
select 'B-' || n, account.id, 1 + (n %% 10000) / 100.0, 'XAF', 'app', 'momo', 'completed', now()
from generate_series(%(low)s::bigint, %(high)s::bigint) n
join (select ccb_account_id as id, row_number() over () - 1 as number, count(*) over () as accounts
      from account where may_vend) account on account.number = n %% account.accounts
"""
_SENT = "select count(*) from staging.receipt where state <> 'built'"
_AT_ONCE = 100


def rate(recharges: int) -> Iterator[dict[str, Any]]:
    """Drain a backlog of recharges, 100 to a transaction, until each is in CI_PAY_TNDR_ST."""
    with tempfile.TemporaryDirectory() as folder, World(persons=2_000, tls=True) as world:
        product = Product(world, Path(folder))
        product.call("migrate")
        prepaid = world.prepaid.conninfo()
        with product.running():
            wait_until(lambda: product.settled(prepaid), timeout_s=120, what="the first snapshot")
        with psycopg.connect(prepaid, autocommit=True) as application:
            for low in range(1, recharges + 1, _AT_ONCE):
                application.execute(_RECHARGES, {"low": low, "high": min(recharges, low + _AT_ONCE - 1)})
        started = time.perf_counter()
        with product.running(), psycopg.connect(product.staging, autocommit=True) as staging:
            wait_until(
                lambda: staging.execute(_SENT.encode()).fetchone() == (recharges,),
                timeout_s=3_600, what="every receipt to be sent",
            )  # fmt: skip
            elapsed = time.perf_counter() - started
            memory = peak_memory_mb(product.process.pid) if product.process else 0.0
        with world.ccb.connect() as connection, connection.cursor() as cursor:
            cursor.execute("select count(*), sum(TENDER_AMT) from CISADM.CI_PAY_TNDR_ST")
            found = cursor.fetchone()
        with psycopg.connect(prepaid) as application:
            expected = application.execute("select count(*), sum(amount) from recharge").fetchone()
        if found != expected:
            raise RuntimeError(f"CC&B holds {found}, prepaid {expected}: the figure would be worth nothing")
    yield {
        "bench": "prepaid_to_ccb_upload", "recharges": recharges, "seconds": round(elapsed, 2),
        "recharges_per_s": round(recharges / elapsed), "peak_memory_mb": round(memory),
    }  # fmt: skip
