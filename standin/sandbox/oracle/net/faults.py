"""Faults on their way to the client: where they happened, and what a slip of the engine becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from sandbox.oracle.interface import Disconnect, OracleFault
from sandbox.oracle.net.answers import CallResult
from sandbox.oracle.net.packets import BreakReceived, ClientGone

SLIP = 20999
"""Not 600: clients give up the whole connection then."""

log = structlog.get_logger(__name__)
Result = TypeVar("Result")


class LocatedFault(OracleFault):
    """A fault whose cursor lives on."""

    def __init__(self, fault: OracleFault, cursor: int) -> None:
        super().__init__(fault.code, fault.text, offset=fault.offset, row=fault.row)
        self.cursor = cursor


def fault_result(fault: OracleFault) -> CallResult:
    """What the last block of a response says of a fault."""
    return CallResult(
        code=fault.code,
        message=fault.text,
        rows=fault.row or 0,
        cursor=fault.cursor if isinstance(fault, LocatedFault) else 0,
        position=fault.offset if fault.row is None else fault.row,
    )


def guarded(call: Callable[[], Result]) -> Result:
    """Call the engine; an error it did not mean to raise is logged and becomes ORA-20999."""
    try:
        return call()
    except (OracleFault, Disconnect, ClientGone, BreakReceived):
        raise
    except Exception as exc:
        log.exception("engine_failed")
        raise OracleFault(SLIP, f"fault of the stand-in: {type(exc).__name__}: {exc}") from exc
