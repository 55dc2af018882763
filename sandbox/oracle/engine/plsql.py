"""PL/SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.oracle.interface import Bind, Cell, CheckCancel, OracleFault, Outcome

if TYPE_CHECKING:
    from sandbox.oracle.engine.session import EngineSession

_BLOCK = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:begin|declare|call)\b", re.IGNORECASE | re.DOTALL)


def is_block(text: str) -> bool:
    """Is a statement PL/SQL?"""
    return _BLOCK.match(text) is not None


def run(
    session: EngineSession,
    text: str,
    binds: Sequence[Bind],
    rows: Sequence[Sequence[Cell | list[Cell]]],
    check: CheckCancel,
) -> Outcome:
    """Run a block."""
    raise OracleFault(6550, "this block is not simulated")
