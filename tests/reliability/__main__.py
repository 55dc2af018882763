"""`python -m tests.reliability SCENARIO [--seed N]`: run one scenario and print its recovery times."""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.reliability.scenarios import SCENARIOS, run


def main() -> None:
    """Run it; one JSON line on standard output, the reason on standard error if a promise was not held."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("scenario", nargs="?", choices=sorted(SCENARIOS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--logs", type=Path, help="an empty folder that keeps configurations and logs")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    options = parser.parse_args()
    if options.list or options.scenario is None:
        for name, scenario in SCENARIOS.items():
            sys.stdout.write(f"{name}: {(scenario.does.__doc__ or '').partition(chr(10))[0]}\n")
        return
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # servers and processes are ended
    began = time.monotonic()
    outcome = run(options.scenario, options.seed, options.logs)
    compared = outcome.compared
    said = {
        "scenario": options.scenario,
        "seed": options.seed,
        "times_s": {what: _summary(times) for what, times in outcome.times_s.items()},
        "counts": outcome.counts,
        "took_s": round(time.monotonic() - began),
        "load": outcome.load,
        "persons": compared.persons,
        "accounts": compared.accounts,
        "recharges": compared.recharges,
        "posted": compared.posted,
    }
    sys.stdout.write(json.dumps(said) + "\n")


def _summary(times: Sequence[float]) -> dict[str, float]:
    middle = round(statistics.median(times), 1)
    return {"n": len(times), "min": min(times), "median": middle, "max": max(times)}


if __name__ == "__main__":
    main()
