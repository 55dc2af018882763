"""Ours beside the peer's: the ratios that the figures of one run allow.

A ratio holds when both were measured on one machine in one run, whatever the machine. Which peer counts
for what, and the bar, is in `docs/performance.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

Figure = Mapping[str, object]


@dataclass(frozen=True)
class Comparison:
    """Two measured values and the ratio required of them.

    Args:
        what: name of the ratio.
        ours, peer: values of the `bench` that hold them; a `who` behind a colon where one has several.
        value: the figure's key, ours and the peer's.
        at_least: bar of ours / peer, where more is better.
        at_most: bar of ours / peer, where less is better.
    """

    what: str
    ours: str
    peer: str
    value: str
    at_least: float | None = None
    at_most: float | None = None


_ENGINE, _ENGINE_LATENCY = "debezium_engine_throughput", "debezium_engine_latency"
COMPARISONS = (
    Comparison("capture, time", "capture:ccbridge", "capture:pg_recvlogical", "elapsed_s", at_most=1.3),
    Comparison("capture, rate", "capture:ccbridge", _ENGINE, "rows_per_s", at_least=8.0),
    Comparison("end to end, rate", "postgres_to_postgres", _ENGINE, "rows_per_s", at_least=2.0),
    Comparison("latency, p50", "commit_to_commit_latency", _ENGINE_LATENCY, "p50_ms"),
    Comparison("latency, p99", "commit_to_commit_latency", _ENGINE_LATENCY, "p99_ms"),
    Comparison("redo insert texts", "redo_parse_insert", "debezium_redo_parse_insert", "rows_per_s"),
    Comparison("redo update texts", "redo_parse_update", "debezium_redo_parse_update", "rows_per_s"),
)
_SAME = {"changes_per_s": "rows_per_s"}
"""Keys of figures that mean the same."""


def ratios(figures: Iterable[Figure]) -> Iterator[dict[str, object]]:
    """A figure for each comparison of which both sides were measured."""
    found: dict[tuple[str, str], float] = {}
    for figure in figures:
        name = f"{figure['bench']}:{figure['who']}" if "who" in figure else str(figure["bench"])
        for key, value in figure.items():
            if isinstance(value, int | float):
                found.setdefault((name, key), value)
                found.setdefault((name, _SAME.get(key, key)), value)
    for one in COMPARISONS:
        ours, peer = found.get((one.ours, one.value)), found.get((one.peer, one.value))
        if ours is None or not peer:
            continue
        ratio = round(ours / peer, 2)
        made: dict[str, object] = {
            "bench": "ratio",
            "what": one.what,
            "ours": ours,
            "peer": peer,
            "of": one.peer,
            "ratio": ratio,
        }
        if one.at_least is not None:
            made |= {"bar_at_least": one.at_least, "met": ratio >= one.at_least}
        if one.at_most is not None:
            made |= {"bar_at_most": one.at_most, "met": ratio <= one.at_most}
        yield made
