"""Which databases the sinks write: shown by `ccbridge targets show` and `check`, bound again by `bind`.

The rule is `cdc.bindings`; a running process asks it before it writes.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from cdc.bindings import Bound
from cdc.config import Settings
from cdc.errors import CcbridgeError, ConfigurationError, TargetRefused
from cdc.flows import wiring
from cdc.ports import Problem
from cdc.postgres.connect import connect
from cdc.postgres.errors import postgres_errors
from cdc.rule_set import load_rules
from cdc.staging import bindings
from cdc.staging.desired import high_staged_seq

_APPLICATION = "ccbridge targets"


def targets(settings: Settings) -> list[dict[str, Any]]:
    """Each target as staging has it bound, and whether it may be written.

    Returns:
        system, sink, identity, writes, delivered_seq, bound_at, bound_by, reason of its binding, None before
        its first use; state: `ok`, or the code of the error that prevents it, with error_text and hint.
    """
    systems = wiring.targets(load_rules(settings))
    with connect(settings.staging, application=_APPLICATION, autocommit=True) as staging:
        stored = {row["system"]: row for row in bindings.listed(staging)}
    unbound = dict.fromkeys(bindings.COLUMNS)
    return [{**unbound, **stored.get(name, {"system": name}), **_state(settings, name)} for name in systems]


def _state(settings: Settings, system: str) -> dict[str, str | None]:
    try:
        look(settings, system)
    except CcbridgeError as exc:
        return {"state": exc.code, "error_text": str(exc), "hint": exc.hint}
    return {"state": "ok", "error_text": None, "hint": None}


def look(settings: Settings, system: str) -> None:
    """Return if a target may be written as it is now; nothing is written.

    Raises:
        TargetRefused: it may not.
        CcbridgeError: staging or the target cannot be reached, or used.
    """
    with (
        connect(settings.staging, application=_APPLICATION, autocommit=True) as staging,
        closing(wiring.open_sink(settings, load_rules(settings), system, staging)) as sink,
    ):
        sink.admission = bindings.TargetBinding(staging, system, sink.name, lease=None)
        sink.look()


@dataclass(frozen=True)
class Rebound:
    """A target that was bound again.

    Args:
        before: what spoke against it; None if nothing did.
        problems: what an operator has to decide now.
    """

    before: str | None
    problems: list[Problem] = field(default_factory=list)


def bind(settings: Settings, system: str, reason: str) -> Rebound:
    """Have a target written from this staging from now on, whatever either side said before.

    Every row of it is compared with staging again by the next delivery. What the
    target lost and is not written again by itself is a problem of the answer. Put on record with its reason.

    Args:
        settings: the configuration.
        system: name of the target.
        reason: why it is the right one.

    Raises:
        ConfigurationError: no such target.
        CcbridgeError: staging or the target cannot be reached, or used.
    """
    known = wiring.targets(load_rules(settings))
    if system not in known:
        raise ConfigurationError([f"system {system}: not a target, expected one of {', '.join(known)}"])
    try:
        look(settings, system)
        before = None
    except TargetRefused as exc:
        before = f"{exc.code}: {exc}"
    with (
        connect(settings.staging, application=_APPLICATION, autocommit=True) as staging,
        closing(wiring.open_sink(settings, load_rules(settings), system, staging)) as sink,
    ):

        def store(bound: Bound) -> None:
            with postgres_errors("staging.target_binding"), staging.transaction():
                bindings.bind(staging, system, sink.name, bound, reason)

        problems = sink.bind(bindings.installation(staging), high_staged_seq(staging), store)
    return Rebound(before, problems)
