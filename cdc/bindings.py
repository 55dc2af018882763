"""May this sink write this target? Decided by what staging and the target say of each other.

Staging keeps, for each sink, which database it writes and how many writes it has begun; the target keeps in
the sink's mark which staging writes it and how many writes were committed. A write is counted in staging
before the target commits it, so staging is never behind its target by itself: if it is, it was restored from
a backup. Pure; `cdc.staging.bindings` keeps the one side, `sinks.upsert.mark` the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cdc.errors import (
    OperatorError,
    StagingOlder,
    TargetChanged,
    TargetOlder,
    TargetTaken,
    bind_hint,
)

TIMELINE = "timeline"
"""Part of a PostgreSQL server's identity that may grow: a standby was promoted."""


@dataclass(frozen=True)
class Bound:
    """What staging knows of a target.

    Args:
        identity: what tells it from others.
        writes: writes begun; one of them may not have been committed.
        delivered_seq: all staged rows up to it are delivered, or more.
        seen_at: what it had of us up to this time of its clock was compared with staging; None for nothing.
    """

    identity: Mapping[str, str]
    writes: int
    delivered_seq: int
    seen_at: datetime | None = None


@dataclass(frozen=True)
class Mark:
    """What a target knows of the sink.

    Args:
        staging: which staging database writes it; None if an earlier release made the mark.
        staged_seq: all staged rows up to it are written.
        fencing_token: of the holder that wrote last.
        writes: writes committed.
    """

    staging: str | None
    staged_seq: int
    fencing_token: int
    writes: int


@dataclass(frozen=True)
class Ours:
    """Who asks.

    Args:
        system: name of the target in the configuration.
        staging: identity of the staging database.
        newest_seq: highest number of a staged row.
        token: of the lease under which is written, and which is valid.
    """

    system: str
    staging: str
    newest_seq: int
    token: int


def require_same(system: str, bound: Bound, identity: Mapping[str, str]) -> None:
    """Compare the database that answers with the one that staging is bound to.

    Raises:
        TargetChanged: another one, or another incarnation of it; each part that differs is named.
    """
    changed = [
        f"{name} was {value}, is {identity.get(name, 'missing')}"
        for name, value in sorted(bound.identity.items())
        if not _may_follow(name, value, identity.get(name))
    ]
    if changed:
        raise TargetChanged(
            f"{system}: not the database that staging is bound to: {'; '.join(changed)}",
            hint=f"connect to the former database; or, if this one takes its place, {bind_hint(system)}",
        )


def judge(ours: Ours, bound: Bound | None, identity: Mapping[str, str], mark: Mark | None) -> None:
    """Return if the target may be written, and bound if it is not.

    Args:
        ours: this process and its staging.
        bound: what staging knows of the target; None if nothing was ever written.
        identity: of the database that answered.
        mark: the sink's mark in it; None if there is none.

    Raises:
        TargetChanged: another database than the one bound.
        TargetTaken: another staging writes it.
        StagingOlder: it has writes that staging does not know.
        TargetOlder: writes that staging has are missing from it.
    """
    if bound is not None:
        require_same(ours.system, bound, identity)
    if mark is None:
        if bound is not None:
            raise TargetChanged(
                f"{ours.system}: the database that answers was never written by this staging, or was emptied",
                hint="connect to the former database; or, to write all of it into this one, "
                + bind_hint(ours.system),
            )
        return
    if mark.staging not in (None, ours.staging):
        raise TargetTaken(
            f"{ours.system}: written from staging {mark.staging}, this is staging {ours.staging}",
            hint="check [staging] and [systems] of the configuration, and for another installation; to "
            "write the target from this staging from now on, " + bind_hint(ours.system),
        )
    if bound is None:
        if mark.staging is not None or mark.staged_seq > ours.newest_seq:
            raise _older(ours, f"is written up to {mark.staged_seq}, staging knows nothing of it")
    elif mark.writes > bound.writes:
        raise _older(ours, f"has {mark.writes} writes, staging knows of {bound.writes}")
    elif mark.fencing_token > ours.token:
        raise _older(ours, f"was written under token {mark.fencing_token}, staging has given {ours.token}")
    elif mark.writes < bound.writes - 1:
        raise TargetOlder(
            f"{ours.system}: the target has {mark.writes} writes, staging knows of {bound.writes}: it was "
            "restored from a backup, is a standby that lost something, or a copy",
            hint="connect to the former database; or, if it was restored, " + bind_hint(ours.system),
        )


def _may_follow(name: str, value: str, found: str | None) -> bool:
    if name == TIMELINE and found is not None:
        return int(found) >= int(value)
    return found == value


def _older(ours: Ours, what: str) -> OperatorError:
    return StagingOlder(
        f"{ours.system}: the target {what}: this staging was restored from a backup, or is a copy",
        hint="when both sources are read up to now (ccbridge status: no error, no lag), "
        f"{bind_hint(ours.system)}; every row is then compared with the target again",
    )
