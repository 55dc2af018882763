"""A run of `verify`: continued where it ended, one at a time, and its record."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdc.config import Rules, Settings
from cdc.config.settings import Run
from cdc.errors import ConfigurationError, ExitCode, LeaseLost, ResyncRunning
from cdc.flows.verification import run as running_module
from cdc.flows.verification.plan import Scope
from cdc.flows.verification.run import LEASE, Options, Outcome, Verification
from cdc.staging.leases import Lease
from cdc.staging.resync_runs import ResyncRuns
from tests.integration.pgoutput.source import Prepaid
from tests.integration.test_table_snapshots import Running, running
from tests.integration.test_verification import ROWS, RULES, prepaid, spoil, staged

__all__ = ["prepaid"]

EVERYTHING = Scope()


@dataclass
class Site:
    """A source that is captured, and the configuration of who compares it."""

    one: Running
    settings: Settings

    def verify(
        self, scope: Scope = EVERYTHING, stop: threading.Event | None = None, **options: object
    ) -> Outcome:
        """What the command does."""
        with Verification(self.settings, scope, stop or threading.Event()) as verification:
            return verification.run(verification.plan(), Options(**options))  # type: ignore[arg-type]

    def chunks(self) -> list[tuple[int, int, str | None]]:
        """Run, number and upper bound of every chunk recorded."""
        return self.one.world.query("select run_id, chunk_no, high from staging.resync_chunk order by 1, 2")


@pytest.fixture
def site(prepaid: Prepaid, tmp_path: Path) -> Iterator[Site]:
    """Staged, with one wrong row."""
    for name, text in RULES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with running(prepaid, RULES, rows=2_000, idle_poll_ms=50) as one:
        staged(one)
        spoil(one, "update staging.change set after = after || '{\"v\": \"x\"}' where key ->> 'id' = '4900'")
        settings = Settings(
            staging=one.world.settings,
            systems={"shop": prepaid.settings},
            rules=Rules(path=str(tmp_path)),
            run=Run(lease_ttl_s=3),
        )
        yield Site(one, settings)


def test_a_run_that_was_broken_off_is_continued_and_counts_nothing_twice(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind its last recorded chunk, whatever ended it; its record is that of one whole run."""
    monkeypatch.setattr(running_module, "TableComparison", _small_chunks)
    stop = threading.Event()
    ended = site.verify(stop=stop, progress=lambda _: stop.set())
    assert (ended.state, ended.exit_code) == ("interrupted", ExitCode.INCOMPLETE)
    before = site.chunks()
    assert before[-1][2] is not None
    past = site.verify(until=time.time() - 1)
    assert (past.run_id, past.state, site.chunks()) == (ended.run_id, "window ended", before)
    done = site.verify()
    assert (done.run_id, done.state, done.exit_code) == (ended.run_id, "done", ExitCode.DIFFERENCES)
    assert [number for _, number, _ in site.chunks()] == list(range(1, len(site.chunks()) + 1))
    (account,) = done.account
    assert (account["source_rows"], account["staged_rows"], account["complete"]) == (ROWS, ROWS, True)
    assert [one["key"] for one in done.differences] == [{"id": "4900"}]
    assert site.verify().run_id != done.run_id


def _small_chunks(*given: object, **named: object) -> object:
    from cdc.flows.verification.tables import TableComparison

    made = TableComparison(*given, **named)  # type: ignore[arg-type]
    made.size.rows = 1_000
    return made


@pytest.mark.slow
def test_single_rows_are_compared_by_their_key(site: Site) -> None:
    """Those that differ, those that are equal, and one that neither side has."""
    found = site.verify(Scope(tables=("t",), keys=("4900", "17", "999999")))
    assert [(one["key"], one["class"]) for one in found.differences] == [({"id": "4900"}, "different")]
    with pytest.raises(ConfigurationError, match="key"):
        site.verify(Scope(tables=("t",), keys=("abc",)))
    with pytest.raises(ConfigurationError, match="table nope"):
        site.verify(Scope(tables=("nope",)))


@pytest.mark.slow
def test_one_process_compares_at_a_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one says so; one that lost its lease records nothing more."""
    monkeypatch.setattr(running_module, "_ACQUIRE_S", 0.1)
    with closing(Lease(site.one.world.settings, LEASE, "another", 30)) as other:
        other.acquire()
        with pytest.raises(ResyncRunning):
            site.verify()
    assert site.verify().state == "done"
    record = ResyncRuns.record

    def lose(self: ResyncRuns, *given: Any) -> None:
        site.one.world.execute("update staging.lease set token = token + 1 where name = 'resync'")
        record(self, *given)

    monkeypatch.setattr(ResyncRuns, "record", lose)
    before = site.chunks()
    with pytest.raises(LeaseLost):
        site.verify()
    assert site.chunks() == before
