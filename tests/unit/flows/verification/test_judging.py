"""A source that changes, a staging that follows: no false difference, no missed one, whatever the order."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.flows.verification.judging import (
    DIFFERENCES,
    SourceRow,
    StagedChange,
    StagedRow,
    StagedState,
    Verdict,
    judge,
)

KEYS = ("a", "b", "c")
Rows = dict[str, int]
Write = tuple[str, str, int]
"""What is done, to which key, with which value."""


@dataclass(frozen=True)
class Look:
    """One look at the model's source."""

    position: int
    seen: frozenset[int]

    def includes(self, position: int, transaction_id: str | None) -> bool:
        return transaction_id is not None and int(transaction_id) in self.seen


@dataclass
class World:
    """A source whose commits become visible after they are in the log, and a staging some way behind it."""

    log: list[tuple[int, list[Write]]] = field(default_factory=list)
    visible: list[int] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    staged_to: int = 0
    staged: Rows = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)

    def commit(self, writes: list[Write]) -> None:
        """The commit record is written: the stream may bring it, no look sees it yet."""
        self.log.append((len(self.log), writes))
        self.pending.append(len(self.log) - 1)

    def show(self, which: int) -> None:
        """One of the transactions becomes visible."""
        if self.pending:
            self.visible.append(self.pending.pop(which % len(self.pending)))

    def stage(self, count: int) -> None:
        """The stream brings the next ones; what they write is right again."""
        for number, writes in self.log[self.staged_to : self.staged_to + count]:
            for key in apply(self.staged, writes):
                self.wrong.discard(key)
            self.staged_to = number + 1

    def spoil(self, key: str, value: int | None) -> None:
        """Staging has a wrong row, or none, until the next change of the key."""
        right = state(self.log[: self.staged_to]).get(key)
        if value == right:
            return
        self.wrong.add(key)
        if value is None:
            self.staged.pop(key, None)
        else:
            self.staged[key] = value

    def look(self) -> tuple[Look, dict[str, SourceRow | None]]:
        """The visible state; its position is the end of the log."""
        rows = state([one for one in self.log if one[0] in self.visible])
        found = {key: SourceRow(rows[key], {"v": str(rows[key])}) if key in rows else None for key in KEYS}
        return Look(len(self.log), frozenset(self.visible)), found

    def state(self, *, low: int) -> StagedState:
        """Staging as it is, with the changes behind `low`."""
        rows = {key: StagedRow(value, 0, {"v": str(value)}) for key, value in self.staged.items()}
        changes = [
            StagedChange(number, str(number), touched(writes))
            for number, writes in self.log[low : self.staged_to]
        ]
        return StagedState(self.staged_to, rows, changes)


def touched(writes: list[Write]) -> tuple[str, ...] | None:
    """Keys of the writes; a truncate touches all."""
    if any(what == "truncate" for what, _, _ in writes):
        return None
    moved = [KEYS[value % 3] for what, _, value in writes if what == "move"]
    return (*moved, *(key for _, key, _ in writes))


def apply(rows: Rows, writes: list[Write]) -> set[str]:
    """Write to rows; the keys that were written."""
    done = set()
    for what, key, value in writes:
        if what == "put":
            rows[key] = value
            done.add(key)
        elif what == "delete":
            rows.pop(key, None)
            done.add(key)
        elif what == "truncate":
            rows.clear()
            done.update(KEYS)
        else:
            # the row with its value: the log holds the value that the source had
            rows.pop(key, None)
            rows[KEYS[value % 3]] = value
            done.update((key, KEYS[value % 3]))
    return done


def state(log: list[tuple[int, list[Write]]]) -> Rows:
    """What these transactions leave, in the order of their commits."""
    rows: Rows = {}
    for _, writes in log:
        apply(rows, writes)
    return rows


WRITES = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "delete", "move", "truncate"]),
        st.sampled_from(KEYS),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=3,
)
STEPS = st.one_of(
    st.tuples(st.just("commit"), WRITES),
    st.tuples(st.just("show"), st.integers(0, 3)),
    st.tuples(st.just("show"), st.integers(0, 3)),
    st.tuples(st.just("stage"), st.integers(1, 3)),
    st.tuples(st.just("spoil"), st.tuples(st.sampled_from(KEYS), st.none() | st.integers(0, 5))),
    st.tuples(st.just("look"), st.none()),
    st.tuples(st.just("judge"), st.none()),
)


@settings(max_examples=300)
@given(st.lists(STEPS, max_size=40))
def test_what_is_judged_is_true_and_what_is_wrong_is_found(steps: list[tuple[str, object]]) -> None:
    """At any moment a difference is one, an equal row is none; once all is quiet every wrong row is found."""
    world = World()
    looks = [(*world.look(), frozenset[str]())]
    for what, given_ in steps:
        match what, given_:
            case "commit", list(writes):
                world.commit(writes)
            case "show", int(number):
                world.show(number)
            case "stage", int(number):
                world.stage(number)
            case "spoil", (str(key), value):
                world.spoil(key, value if isinstance(value, int) else None)
            case "look", _:
                looks.append((*world.look(), frozenset(world.wrong)))
            case _:
                check(world, *looks[-1][:2])
    while world.pending:
        world.show(0)
    world.stage(len(world.log))
    look, seen = world.look()
    for judged in judge(look, seen, world.state(low=0)):
        assert (judged.verdict in DIFFERENCES) is (judged.key in world.wrong)


def check(world: World, look: Look, seen: dict[str, SourceRow | None]) -> None:
    """No verdict against a row that is right, none for a row that is wrong."""
    for judged in judge(look, seen, world.state(low=0)):
        if judged.verdict in DIFFERENCES:
            assert judged.key in world.wrong
        if judged.verdict is Verdict.EQUAL:
            assert judged.key not in world.wrong


def test_a_value_that_staging_does_not_know_proves_nothing() -> None:
    """Neither of equality nor of a difference; what is known of the row can still differ."""
    look, row = Look(5, frozenset()), SourceRow(1, {"a": "1", "b": "2"})
    for texts, verdict in (
        ({"a": "1"}, Verdict.UNKNOWN),
        ({"a": "1", "b": "2"}, Verdict.EQUAL),
        ({"a": "7"}, Verdict.DIFFERENT),
    ):
        staged = StagedState(5, {"k": StagedRow(None, 1, texts)})
        assert [one.verdict for one in judge(look, {"k": row}, staged)] == [verdict]


def test_nothing_is_judged_before_staging_has_passed_the_look() -> None:
    """However much time went by; nor while the table is read again."""
    look, row = Look(5, frozenset()), SourceRow(1, {"a": "1"})
    assert judge(look, {"k": row}, StagedState(4, {}))[0].verdict is Verdict.AGAIN
    assert judge(look, {"k": row}, StagedState(9, {}, settled=False))[0].verdict is Verdict.AGAIN
    assert judge(look, {"k": row}, StagedState(5, {}))[0].verdict is Verdict.MISSING
    assert judge(look, {"k": None}, StagedState(5, {}))[0].verdict is Verdict.EQUAL
