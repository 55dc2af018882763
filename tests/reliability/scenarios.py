"""The scenarios by name, and how one is run: a bed of its own, the failure, equality, the checker's word."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.workload.crowd import Pace
from sandbox.workload.verify import Differences
from tests.reliability.bed import PACE, Bed
from tests.reliability.files import log_unwritable, spill_gone
from tests.reliability.kills import large_transactions, random_kills, terminated_sessions
from tests.reliability.network import flapping, packets_lost
from tests.reliability.restored import created_again, restored
from tests.reliability.rows import held_row, locked_row
from tests.reliability.standby import standby
from tests.reliability.tables import altered, deadlocks, publication

Does = Callable[[Bed, random.Random], None]
"""Does the failures; the bed notes the times."""


@dataclass(frozen=True)
class Scenario:
    """What is done, and under which traffic."""

    does: Does
    pace: Pace = PACE
    persons: int = 150


@dataclass(frozen=True)
class Outcome:
    """What a scenario that held its promises was like."""

    times_s: Mapping[str, Sequence[float]]
    counts: Mapping[str, int]
    load: float
    """Of the machine, over the last 5 minutes."""
    compared: Differences


CALM = Pace(clerks=4, cash_desk=2, recharges=3, uploads=2)
SCENARIOS: Mapping[str, Scenario] = {
    "standby": Scenario(standby, pace=CALM),
    "packets-lost-staging": Scenario(packets_lost("staging")),
    "packets-lost-prepaid": Scenario(packets_lost("prepaid")),
    "packets-lost-ccb": Scenario(packets_lost("ccb")),
    "flapping": Scenario(flapping),
    "random-kills": Scenario(random_kills),
    "terminated-sessions": Scenario(terminated_sessions),
    "large-transactions": Scenario(large_transactions, pace=CALM),
    "held-row": Scenario(held_row),
    "locked-row": Scenario(locked_row),
    "log-unwritable": Scenario(log_unwritable),
    "spill-gone": Scenario(spill_gone, pace=CALM),
    "publication": Scenario(publication),
    "deadlocks": Scenario(deadlocks),
    "altered": Scenario(altered, pace=CALM),
    "restored": Scenario(restored(1), pace=CALM),
    "restored-after-restarts": Scenario(restored(3), pace=CALM),
    "restored-twice": Scenario(restored(1, times=2), pace=CALM),
    "staging-created-again": Scenario(created_again, pace=CALM),
}


def run(name: str, seed: int, folder: Path | None = None) -> Outcome:
    """Run one scenario.

    Raises:
        AssertionError: a promise was not held.
    """
    scenario = SCENARIOS[name]
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    with (
        tempfile.TemporaryDirectory() as own,
        Bed(folder or Path(own), seed=seed, persons=scenario.persons, pace=scenario.pace) as bed,
    ):
        scenario.does(bed, chance)
        compared = bed.checked()
    return Outcome(bed.times, bed.counts, round(os.getloadavg()[1], 1), compared)
