"""The capture flow: what it tells the source and when, and which source it takes for its own."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from cdc.changes import ChangeBatch, SourceTable, TableName
from cdc.config import Run
from cdc.errors import SourceChanged, TableChanged
from cdc.flows.capture import Capture
from cdc.flows.progress.state import FlowState
from cdc.flows.staged_signal import StagedSignal
from cdc.flows.supervision import Flow
from cdc.ports import ColumnsRead, Resume, StopAsked
from tests.unit.staging.doubles import CUSTOMER, Event, batch, customer
from tests.unit.staging.world import World, staging


@dataclass
class ListReader:
    """A source of given batches; at each acknowledgement it notes what staging holds by then."""

    world: World
    stream: Iterable[ChangeBatch]
    database: str = "shop"
    reported: list[tuple[Any, Any]] = field(default_factory=list)

    system = "shop"
    can_read_tables = False

    def identity(self) -> Mapping[str, str]:
        return {"database": self.database}

    def describe(self) -> Mapping[TableName, SourceTable]:
        return {CUSTOMER.name: CUSTOMER}

    def estimates(self) -> Mapping[TableName, int]:
        return {}

    def snapshot(self, *, max_rows: int, stop: StopAsked) -> Iterator[ChangeBatch]:
        yield batch(Event("r", 10, after=customer("0")), snapshot_done=(CUSTOMER.name,))

    def read(self, resume: Resume, *, max_changes: int, stop: StopAsked) -> Iterator[ChangeBatch]:
        yield from self.stream

    def reread(self, *_: object) -> dict[int, Any]:
        return {}

    def acknowledge(self, resume: Resume) -> None:
        [(staged,)] = self.world.query("select source_position from staging.checkpoint")
        self.reported.append((resume["at"], staged))

    def close(self) -> None:
        return


@pytest.fixture
def world(database: str) -> Iterator[World]:
    with staging(database) as world:
        yield world


def capture(world: World, reader: ListReader) -> None:
    """Run the flow to the end of the reader's stream."""
    columns = ColumnsRead(frozenset(CUSTOMER.column_names), frozenset({"id"}))
    work = Capture(
        system="shop",
        read={CUSTOMER.name: columns},
        open_reader=lambda: reader,  # type: ignore[arg-type,return-value]
        open_stager=world.stager,
        sizes=Run(),
        wake=StagedSignal(),
        state=FlowState(),
        run_id=uuid.uuid4(),
    )
    work(Flow("capture:shop", work, threading.Event(), FlowState()))


def test_a_batch_is_acknowledged_once_it_is_staged(world: World) -> None:
    """The source may discard its log up to there; a slice of a transaction is never acknowledged."""
    stream = [
        batch(Event("c", 11, after=customer("1"))),
        batch(Event("c", 12, after=customer("2")), continues=True),
        batch(Event("c", 12, 1, after=customer("3"))),
    ]
    reader = ListReader(world, stream)
    capture(world, reader)
    assert reader.reported == [(10, 10), (11, 11), (12, 12)]
    assert world.customers().keys() == {"0", "1", "2", "3"}


def test_a_position_is_used_in_its_own_source_only(world: World) -> None:
    """Another database under the same name, or one restored under a new identity, is named and not read."""
    capture(world, ListReader(world, []))
    other = ListReader(world, [batch(Event("c", 11, after=customer("1")))], database="copy")
    with pytest.raises(SourceChanged, match="database was shop, is copy"):
        capture(world, other)
    assert other.reported == []
    assert world.customers().keys() == {"0"}


def test_an_idle_source_moves_its_checkpoint_now_and_then_only(world: World) -> None:
    """Each checkpoint is a commit in staging; the first one after changes lets the source discard its log."""
    stream = [
        batch(Event("c", 11, after=customer("1"))),
        *(batch(position=at) for at in range(12, 112)),
        batch(Event("c", 200, after=customer("2"))),
        *(batch(position=at) for at in range(201, 301)),
    ]
    reader = ListReader(world, stream)
    capture(world, reader)
    assert [at for at, _ in reader.reported] == [10, 11, 12, 200, 201]


def test_what_a_table_became_is_stored_at_once_in_an_idle_source(world: World) -> None:
    """A batch without rows that says why a table is not read any more is not passed over."""
    gone = TableChanged("dropped", hint="read it again")
    stream = [batch(position=12), replace(batch(position=13), stopped={CUSTOMER.name: gone})]
    reader = ListReader(world, stream)
    capture(world, reader)
    assert [at for at, _ in reader.reported] == [10, 12, 13]
    assert world.query("select state, reason from staging.source_table") == [("stopped", "dropped")]
