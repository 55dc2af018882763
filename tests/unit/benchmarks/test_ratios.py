"""Ours beside a peer's: a ratio is only shown when one run measured both."""

from __future__ import annotations

from benchmarks.ratios import ratios

OURS = {"bench": "postgres_to_postgres", "changes": 500_000, "changes_per_s": 16_500}
PEER = {"bench": "debezium_engine_throughput", "rows": 100_000, "rows_per_s": 5_500}


def test_ratio_needs_both_sides_of_one_run() -> None:
    """A figure of another run, on another machine, is not a peer."""
    assert list(ratios([OURS])) == []
    [ratio] = ratios([OURS, PEER])
    assert (ratio["ours"], ratio["peer"], ratio["ratio"], ratio["met"]) == (16_500, 5_500, 3.0, True)


def test_figures_of_one_measurement_are_distinguished_by_who() -> None:
    """`capture` measures ours and the peer; less time is better there."""
    figures = [
        {"bench": "capture", "who": "pg_recvlogical", "elapsed_s": 1.0},
        {"bench": "capture", "who": "ccbridge", "elapsed_s": 1.5},
    ]
    [ratio] = ratios(figures)
    assert (ratio["ratio"], ratio["bar_at_most"], ratio["met"]) == (1.5, 1.3, False)
