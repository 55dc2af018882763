"""Put what `ccbridge probe oracle` recorded on a database through the reader, without one.

`python -m tests.replay_probe FILE` prints one line per wrong transaction, then
`replay probe: N transactions right, M wrong`; exit code 1 if any is wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cdc.errors import CcbridgeError
from cdc.readers.logminer.probing.recording import read
from cdc.readers.logminer.probing.replay import replayed


def main(arguments: list[str]) -> int:
    """Replay the files named; the exit code says whether all transactions were right."""
    right = wrong = 0
    for argument in arguments:
        try:
            found = replayed(read(Path(argument)))
        except CcbridgeError as exc:
            sys.stdout.write(f"{exc}\n")
            wrong += 1
            continue
        for name, one in found.items():
            right, wrong = right + (not one.problems), wrong + bool(one.problems)
            if one.problems:
                sys.stdout.write(f"{name}: {'; '.join(map(str, one.problems))}\n")
    sys.stdout.write(f"replay probe: {right} transactions right, {wrong} wrong\n")
    return 1 if wrong or not right else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
