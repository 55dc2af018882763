"""CPU seconds of processes that are not ours to measure from inside, from /proc (Linux).

A process counts with all its descendants, living and ended ones: a PostgreSQL server is its postmaster
with every backend it had.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PARENT, _TIMES = 1, slice(11, 15)  # places behind the command's name: ppid; utime, stime, cutime, cstime


def tree_cpu_s(process_id: int) -> float:
    """User and system CPU seconds of a process and all its descendants, so far."""
    children: dict[int, list[int]] = {}
    times: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile; its parent has its time
        number = int(folder.name)
        children.setdefault(int(fields[_PARENT]), []).append(number)
        times[number] = sum(map(int, fields[_TIMES]))
    ticks, left = 0, [process_id]
    while left:
        number = left.pop()
        ticks += times.get(number, 0)
        left += children.get(number, ())
    return ticks / _TICKS_PER_S


class CpuMeter:
    """CPU seconds of named processes since it was made.

    Args:
        processes: process id by the name the figure gets.
    """

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._processes = dict(processes)
        self._before = {name: tree_cpu_s(number) for name, number in processes.items()}

    def seconds(self) -> dict[str, float]:
        """CPU seconds by name; read it while the processes live."""
        return {
            name: round(tree_cpu_s(number) - self._before[name], 2)
            for name, number in self._processes.items()
        }
