"""What the product assumes of a database, and what a probe of a real one found.

A document often cannot settle how a database behaves; each such belief is an `Assumption`, kept as data
beside the reader that relies on it, and `ccbridge probe` tries it. No driver is imported here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cdc.errors import CcbridgeError, ExitCode


class Verdict(StrEnum):
    """What trying an assumption showed."""

    HOLDS = "holds"
    DIFFERS = "differs"
    COULD_NOT_TRY = "could not try"


@dataclass(frozen=True)
class Assumption:
    """A belief about a database.

    Args:
        name: short and stable, in kebab case.
        belief: what we take to be true.
        source: why we believe it.
        used_by: modules that rely on it.
    """

    name: str
    belief: str
    source: str
    used_by: str


@dataclass(frozen=True)
class Said:
    """What a check has to say: a verdict and what it was seen by."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Outcome:
    """An assumption that was looked at; `hint` tells what to do where it could not be tried."""

    assumption: Assumption
    verdict: Verdict
    reason: str
    hint: str = ""


@dataclass
class Report:
    """What a probe found; `unreachable` is why the database could not be used at all."""

    outcomes: list[Outcome] = field(default_factory=list)
    unreachable: CcbridgeError | None = None
    interrupted: bool = False

    def count(self, verdict: Verdict) -> int:
        """How many assumptions came out so."""
        return sum(one.verdict is verdict for one in self.outcomes)

    @property
    def exit_code(self) -> ExitCode:
        """3 if the database could not be used, 1 if an assumption differs, else 0."""
        if self.unreachable is not None:
            return ExitCode.UNREACHABLE
        return ExitCode.DIFFERENCES if self.count(Verdict.DIFFERS) else ExitCode.DONE


class NotTried(Exception):
    """A check cannot be made here.

    Args:
        reason: what is missing.
        hint: what to do about it, a statement if there is one.
    """

    def __init__(self, reason: str, *, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


Check = Callable[[], Said]


def holds(reason: str) -> Said:
    """The assumption was seen to be true."""
    return Said(Verdict.HOLDS, reason)


def differs(reason: str) -> Said:
    """The database does otherwise."""
    return Said(Verdict.DIFFERS, reason)


def judge(right: bool, reason: str) -> Said:
    """`holds` or `differs` by a condition."""
    return holds(reason) if right else differs(reason)


class Deadline:
    """The time a probe may take.

    Args:
        seconds: from now on.
    """

    def __init__(self, seconds: float) -> None:
        self._end, self.seconds = time.monotonic() + seconds, seconds

    @property
    def left_s(self) -> float:
        """Seconds left, 0 when there are none."""
        return max(0.0, self._end - time.monotonic())

    def require(self) -> None:
        """Refuse to begin something new when the time is over.

        Raises:
            NotTried: it is.
        """
        if not self.left_s:
            raise NotTried(
                f"the {self.seconds:.0f} seconds of the probe were over", hint="give more time: --timeout"
            )


def tried(
    assumptions: Sequence[Assumption], checks: Mapping[str, Check], deadline: Deadline
) -> Iterator[Outcome]:
    """Make the check of each assumption, in order; whatever keeps one from being made is its reason."""
    for assumption in assumptions:
        hint = ""
        try:
            deadline.require()
            said = checks[assumption.name]()
        except NotTried as exc:
            said, hint = Said(Verdict.COULD_NOT_TRY, str(exc)), exc.hint
        except CcbridgeError as exc:
            said, hint = Said(Verdict.COULD_NOT_TRY, str(exc)), exc.hint
        yield Outcome(assumption, said.verdict, said.reason, hint)
