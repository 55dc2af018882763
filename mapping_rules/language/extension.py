"""What a sink adds to the rule language: entities of its own, and tables that no rule may write."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cdc.kinds import EXTENSIONS, resolved
from mapping_rules.language.model import Entity, Outbound, SystemRules


def _no_errors(rule: Outbound, system: SystemRules) -> Iterable[str]:
    del rule, system
    return ()


@dataclass(frozen=True)
class RuleExtension:
    """What a sink adds; `cdc.kinds.EXTENSIONS` has the sinks that add something.

    Args:
        entities: entities whose rows the sink makes itself: outbound rules may read them, no rule set defines
            them.
        target_errors: why a rule may not write its table. Asked for every outbound rule of every sink: who
            knows a target's own way in also knows which tables are not to be written past it.
    """

    entities: tuple[Entity, ...] = ()
    target_errors: Callable[[Outbound, SystemRules], Iterable[str]] = _no_errors


def rule_extensions() -> list[RuleExtension]:
    """Those of all sinks."""
    return resolved(one.rules for one in EXTENSIONS.values())
