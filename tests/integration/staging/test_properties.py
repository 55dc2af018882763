"""Staging against a plain model: any history, cut into any batches, replayed from anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.changes import SourceTable
from cdc.ports import RereadValues, SourceKey
from cdc.staging.audit.audit_chain import broken_batches
from cdc.staging.batches.reread import AskSource
from tests.unit.staging.doubles import Event, batch
from tests.unit.staging.world import World, staging

Row = dict[str, str | None]
KEYS = ("k1", "k2", "k3")
TEXT = st.one_of(st.none(), st.sampled_from(["", " ", "x", "é\U0001f600", "q'\"\\,{}", "\\N"]))
MONEY = st.one_of(st.none(), st.sampled_from(["0", "-0.01", "9999999999999.99"]))


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Changes of three keys, each possible where it stands; some images are partial."""
    rows: dict[str, Row] = {}
    events: list[Event] = []
    for position in range(1, draw(st.integers(1, 12)) + 1):
        for ordinal in range(draw(st.integers(1, 3))):
            key = draw(st.sampled_from(KEYS))
            new: Row = {
                "id": key,
                "name": draw(TEXT),
                "note": draw(TEXT),
                "credit": draw(MONEY),
                "secret": None,
            }
            events.append(_event(draw, rows, position, ordinal, key, new))
    return events


def _event(draw: st.DrawFn, rows: dict[str, Row], position: int, ordinal: int, key: str, new: Row) -> Event:
    old = rows.get(key)
    if old is None:
        rows[key] = new
        return Event("c", position, ordinal, after=new)
    kind = draw(st.sampled_from("uuudrm"))
    if kind == "d":
        del rows[key]
        return Event("d", position, ordinal, before=draw(st.sampled_from([old, {"id": key}])))
    if kind == "r":
        return Event("r", position, ordinal, after=old)
    free = [other for other in KEYS if other not in rows]
    if kind == "m" and free:
        moved = {**new, "id": free[0]}
        del rows[key]
        rows[free[0]] = moved
        return Event("u", position, ordinal, before=old, after=moved)
    logged = draw(st.sets(st.sampled_from(["name", "note", "credit"])))
    after: Row = {"id": key, **{name: new[name] for name in sorted(logged)}}
    rows[key] = {**old, **after}
    return Event("u", position, ordinal, before={"id": key}, after=after)


def model(events: list[Event]) -> dict[str, tuple[Any, ...]]:
    """What the entity table must hold: the last values of every key ever seen, and whether it is gone."""
    rows: dict[str, Row] = {}
    gone: set[str] = set()
    for event in events:
        old = event.before.get("id")
        new = event.after.get("id")
        if old is not None and old != new:
            gone.add(old)
        if new is not None:
            rows[new] = {**rows.get(new, {}), **event.after}
            gone.discard(new)
    return {
        key: (
            row["name"],
            row["note"],
            None if row["credit"] is None else Decimal(row["credit"]),
            key in gone,
        )
        for key, row in rows.items()
    }


def source(events: list[Event]) -> AskSource:
    """The source as it is after all events: what a value is that is read again."""
    rows: dict[str | None, Mapping[str, str | None]] = {}
    for event in events:
        old = rows.pop(event.before.get("id", event.after.get("id")), {})
        if event.after:
            rows[event.after["id"]] = {**old, **event.after}

    def ask(
        _: SourceTable, columns: Sequence[str], expected: Mapping[int, Sequence[SourceKey]]
    ) -> RereadValues:
        return {
            (position, key): [rows[key[0]][name] for name in columns]
            for position, keys in expected.items()
            for key in keys
            if key[0] in rows
        }

    return ask


@pytest.fixture(scope="module")
def world(postgres: Any) -> Iterator[World]:
    """One database for all examples; each example starts with empty tables."""
    with staging(postgres.create_database("t_staging_properties")) as made:
        yield made


def empty(world: World) -> None:
    """Staging as if nothing had happened yet."""
    for stager in world.stagers:
        stager.close()
    world.stagers.clear()
    world.execute(
        "truncate staging.customer, staging.customer_history, staging.change, staging.batch, "
        "staging.checkpoint, staging.dead_letter"
    )


def in_batches(events: list[Event], cuts: list[int]) -> Iterator[list[Event]]:
    edges = sorted({0, len(events), *(cut % len(events) for cut in cuts)})
    for low, high in pairwise(edges):
        yield events[low:high]


OVERLAPS = """
with versions as (
    select customer_id, valid_from, valid_to from staging.customer_history
    union all select customer_id, committed_at, 'infinity' from staging.customer
)
select count(*) from versions a join versions b using (customer_id)
where (a.valid_from, a.valid_to) <> (b.valid_from, b.valid_to)
    and tstzrange(a.valid_from, a.valid_to) && tstzrange(b.valid_from, b.valid_to)
"""
SEQUENCE = """
select count(*) from staging.customer_history h where h.staged_seq >= h.superseded_seq
    or not exists (select from staging.customer n where n.customer_id = h.customer_id
            and n.staged_seq = h.superseded_seq)
        and not exists (select from staging.customer_history n where n.customer_id = h.customer_id
            and n.staged_seq = h.superseded_seq)
"""


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=histories(),
    cuts=st.lists(st.integers(0, 100), max_size=6),
    sliced=st.booleans(),
    replay=st.integers(0, 100),
)
def test_any_history_in_any_batches_ends_as_the_model_says(
    world: World, events: list[Event], cuts: list[int], sliced: bool, replay: int
) -> None:
    """The batches' edges do not show: same rows, a gapless history, each change logged once."""
    empty(world)
    stager = world.stager()
    stager.mapper.ask_source = source(events)
    stager.stage(batch(position=0))
    stager.snapshot_completed()
    parts = list(in_batches(events, cuts))
    for number, part in enumerate(parts):
        stager.stage(batch(*part, continues=sliced and number + 1 < len(parts)))
    assert world.customers() == model(events)
    assert world.query(OVERLAPS) == [(0,)]
    assert world.query(SEQUENCE) == [(0,)]
    assert world.query("select count(*) from staging.change") == [(len(events),)]
    assert list(broken_batches(world.observer, "shop")) == []

    everything = "select * from staging.customer c full join staging.customer_history h using (customer_id)"
    before = sorted(map(repr, world.query(everything)))
    again = events[: replay % len(events) + 1]
    world.stager().stage(batch(*again))
    assert sorted(map(repr, world.query(everything))) == before, "replaying a prefix changed something"
    assert world.query("select count(*) from staging.change") == [(len(events),)]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=histories(), cut=st.integers(0, 100))
def test_a_forgotten_checkpoint_does_not_bring_old_values_back(
    world: World, events: list[Event], cut: int
) -> None:
    """Even without the checkpoint's guard, an older change never overwrites a newer row."""
    empty(world)
    world.stager().stage(batch(*events))
    before = world.customers()
    world.execute("truncate staging.checkpoint, staging.change, staging.batch")
    world.stager().stage(batch(*events[: cut % len(events) + 1]))
    assert world.customers() == before
