"""Views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.oracle.engine.views import FixedView

if TYPE_CHECKING:
    from sandbox.oracle.engine.database import OracleDatabase


def views(database: OracleDatabase) -> list[FixedView]:
    """Views of this module."""
    return []
