"""Networks that lose packets, and networks that come and go."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from random import Random

from tests.reliability.bed import Bed, Host

LOSS_S = 90
FLAPPING_S, FLAP_S = 180, 2
FLOWS = {
    "staging": ("capture:prepaid", "capture:ccb", "deliver:prepaid", "deliver:ccb"),
    "prepaid": ("capture:prepaid", "deliver:prepaid"),
    "ccb": ("capture:ccb", "deliver:ccb"),
}
"""What cannot work while a database cannot be reached."""


def packets_lost(database: str) -> Callable[[Bed, Random], None]:
    """The scenario for one of the three databases."""

    def scenario(bed: Bed, chance: Random) -> None:
        running = bed.begin()
        desk = bed.another_host("desk")
        time.sleep(chance.uniform(0, 2))
        bed.a.proxies[database].keep_orphans(True)
        with bed.a.proxies[database].losing_packets():
            since = time.monotonic()
            bed.eventually(partial(_reported, desk, database), "status to tell of it")
            bed.took("status tells of it", time.monotonic() - since)
            time.sleep(max(0.0, since + LOSS_S - time.monotonic()))
        since = time.monotonic()
        bed.took("carries again", bed.carries("after"))
        bed.equal("equal", since)
        assert running.process.poll() is None, running.text()[-3000:]

    scenario.__doc__ = f"For {LOSS_S} s every packet to and from {database} is lost; its sessions stay."
    return scenario


def _reported(desk: Host, database: str) -> bool:
    """Status shows that the flows of this database do not work, with the reason if staging can be reached."""
    done = desk.call("status", "--format", "json")
    flows = {row["flow"]: row for row in done.rows() if row["kind"] == "flow"}
    if database == "staging":
        return done.code == 1 and all(flows[name]["status"] == "silent" for name in FLOWS[database])
    return all(
        flows[name]["status"] in ("retrying", "waiting") and flows[name]["error_code"]
        for name in FLOWS[database]
    )


def flapping(bed: Bed, chance: Random) -> None:
    """For 3 minutes all ways come and go every 2 s: reset and refused, or packets lost."""
    running = bed.begin()
    until = time.monotonic() + FLAPPING_S
    while time.monotonic() < until:
        if chance.random() < 0.5:
            bed.a.each(lambda proxy: proxy.refuse(True))
            bed.a.each(lambda proxy: proxy.cut())
        else:
            bed.a.each(lambda proxy: proxy.lose_packets())
        time.sleep(FLAP_S)
        bed.a.each(lambda proxy: proxy.refuse(False))
        bed.a.each(lambda proxy: proxy.pass_packets())
        time.sleep(FLAP_S)
    since = time.monotonic()
    bed.took("carries again", bed.carries("after"))
    bed.equal("equal", since)
    assert running.process.poll() is None, running.text()[-3000:]
