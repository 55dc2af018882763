"""The rights in CC&B's database that the payment upload needs, as lines of a script for its DBA."""

from __future__ import annotations

from collections.abc import Iterator

from cdc.config import OracleSystem
from cdc.oracle.connect import identifier
from sinks.ccb_payment_upload.ccb.tables import NEEDED, WRITTEN


def grants(target: OracleSystem, user: str) -> Iterator[str]:
    """Read what is looked up, insert into what is written."""
    yield "-- payment upload: looked up, and written"
    for name in sorted(NEEDED):
        rights = "select, insert" if name in WRITTEN else "select"
        yield f"grant {rights} on {identifier(target.owner)}.{identifier(name)} to {user};"
