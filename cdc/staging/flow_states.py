"""What each flow said last: `staging.flow_state`, for `ccbridge status` and the demo."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors

_COLUMNS = (
    "flow",
    "status",
    "position",
    "staged_seq",
    "rows",
    "held",
    "detail",
    "error_code",
    "error_text",
    "hint",
    "changed_at",
    "current_to",
    "status_since",
    "run_id",
)
_PUBLISH = f"""
insert into staging.flow_state ({", ".join(_COLUMNS)}, reported_at)
values ({", ".join(f"%({name})s" for name in _COLUMNS)}, now())
on conflict (flow) do update set
    {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[1:])}, reported_at = excluded.reported_at
"""  # noqa: S608 - fixed column names


def publish(connection: Connection, run_id: uuid.UUID, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace the last word of each flow; rows have the columns of the table but run_id and the time.

    Raises:
        TransientError: staging is not reachable.
    """
    with postgres_errors("staging.flow_state"), connection.cursor() as cursor:
        cursor.executemany(_PUBLISH, [{**row, "run_id": run_id} for row in rows])
