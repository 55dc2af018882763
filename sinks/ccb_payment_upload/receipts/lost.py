"""Receipts that CC&B lost when it was restored: an operator decides on them.

Each keeps its state; `state_reason` says that it is lost. It is never sent again automatically: `send_again`
is what an operator asked for, under a transmission of its own, and the sink searches CC&B for it once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors
from cdc.staging.staged_seq import lock_sequence
from sinks.ccb_payment_upload.receipts.versions import execute, replacing

PLACE_SCHEMA: Mapping[str, Any] = dict.fromkeys(
    ("recharge_id", "account_id", "external_source", "transmission_id", "tender_id"), pl.String
)
"""Columns of receipts to be found in CC&B again; `tender_id` is null until CC&B has assigned one."""
COLUMNS = ("recharge_id", "amount", "currency", "account_id", "state", "sent_at", "transmission_id")
LOST = "CC&B does not hold it since it was restored"
_CLOSED = "not sent again: "
"""Begins the state_reason of a receipt on which an operator decided; the operator's reason follows."""
_AT_ONCE = 1_000
_PLACE = ", ".join(f"r.{name}" for name in PLACE_SCHEMA)
_IS_LOST = f"r.sent_at is not null and r.state_reason = '{LOST}'"

# What CC&B refused, cancelled, or archived by a change that was captured, is not looked for; nor what
# an operator has decided on: back on the list it could be sent although the money came in another way.
_NEWEST = f"""
select {_PLACE}, r.sent_at from staging.receipt r
where r.sent_at is not null and r.state not in ('error', 'reversed')
and not starts_with(coalesce(r.state_reason, ''), '{_CLOSED}') and not exists (
    select from staging.tender t where t.tombstone and t.operation = 'd' and t.tender_id = r.tender_id)
and (%(sent_at)s::timestamptz is null
    or (r.sent_at, r.recharge_id) < (%(sent_at)s::timestamptz, %(recharge_id)s::text))
order by r.sent_at desc, r.recharge_id desc limit {_AT_ONCE}
"""  # noqa: S608 - our own text
_OF_LOST = f"select {_PLACE} from staging.receipt r where {_IS_LOST}"  # noqa: S608 - our own text
_STILL_LOST = f"""
select r.recharge_id from staging.receipt r where r.recharge_id = any(%s) and {_IS_LOST}
order by r.recharge_id
"""  # noqa: S608 - our own text
_LISTED = f"""
select {", ".join(COLUMNS)} from staging.receipt r where {_IS_LOST} order by r.sent_at, r.recharge_id
"""  # noqa: S608 - our own text
_MARK = replacing(
    f"staging.receipt r where r.recharge_id = any(%(keys)s) and r.sent_at is not null "
    f"and r.state_reason is distinct from '{LOST}'",
    {"state_reason": f"'{LOST}'"},
)
_FOUND = replacing(
    f"staging.receipt r where r.recharge_id = any(%(keys)s) and {_IS_LOST}", {"state_reason": "null::text"}
)
_CLOSE = replacing(
    f"staging.receipt r where r.recharge_id = any(%(keys)s) and {_IS_LOST}",
    {"state_reason": "%(reason)s::text"},
)
_SEND_AGAIN = replacing(
    f"staging.receipt r where r.recharge_id = any(%(keys)s) and {_IS_LOST}",
    {
        "state": "'built'",
        "state_reason": "null::text",
        "transmission_id": "%(transmission_id)s::text",
        **dict.fromkeys(("tender_id", "payment_event_id", "payment_id"), "null::text"),
        **dict.fromkeys(("sent_at", "accepted_at", "posted_at"), "null::timestamptz"),
    },
)
_NOTE = """
insert into staging.operator_action (who, action, object, detail) values (session_user, %s, 'receipts', %s)
"""


class LostReceipts:
    """The lost receipts of one staging database; the caller commits where it says so.

    Args:
        connection: to staging, in autocommit.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def newest(self) -> Iterator[pl.DataFrame]:
        """Receipts that CC&B held, those sent last first, in parts (PLACE_SCHEMA)."""
        behind: dict[str, object] = {"sent_at": None, "recharge_id": None}
        while rows := self._rows(_NEWEST, behind):  # from the last one on: what was seen may leave meanwhile
            yield pl.DataFrame([row[:-1] for row in rows], schema=PLACE_SCHEMA, orient="row")
            behind = {"sent_at": rows[-1][-1], "recharge_id": rows[-1][0]}

    def lost(self) -> pl.DataFrame:
        """Those on the list (PLACE_SCHEMA)."""
        return pl.DataFrame(self._rows(_OF_LOST, {}), schema=PLACE_SCHEMA, orient="row")

    def listed(self) -> list[dict[str, Any]]:
        """Those on the list for people: COLUMNS."""
        with postgres_errors("staging.receipt"), self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_LISTED).fetchall()

    def mark(self, keys: Sequence[str]) -> int:
        """Put receipts on the list; the caller's transaction. Returns how many."""
        return execute(self._connection, _MARK, {"keys": list(keys)})

    def found(self, keys: Sequence[str]) -> int:
        """Take receipts off the list, because CC&B holds them; returns how many."""
        with postgres_errors("staging.receipt"), self._connection.transaction():
            return execute(self._connection, _FOUND, {"keys": list(keys)})

    def close(self, keys: Sequence[str], reason: str) -> list[str]:
        """Take receipts off the list without sending them, and put it on record; returns those of them."""
        with postgres_errors("staging.receipt"), self._connection.transaction():
            closed = self._still_lost(keys)
            execute(self._connection, _CLOSE, {"keys": closed, "reason": _CLOSED + reason})
            self._note("close lost receipts", closed, reason)
        return closed

    def send_again(self, transmissions: Mapping[str, Sequence[str]], reason: str) -> list[str]:
        """Have receipts sent again, and put it on record; returns those that were still on the list.

        Args:
            transmissions: keys of receipts by the transmission in which they will go.
            reason: why.
        """
        with postgres_errors("staging.receipt"), self._connection.transaction():
            again = self._still_lost([key for keys in transmissions.values() for key in keys])
            for number, keys in transmissions.items():
                execute(self._connection, _SEND_AGAIN, {"keys": list(keys), "transmission_id": number})
            self._note("send lost receipts again", again, reason)
        return again

    def _still_lost(self, keys: Sequence[str]) -> list[str]:
        """Those of the receipts without a decision; no other session decides until the transaction ends."""
        with self._connection.cursor() as cursor:
            lock_sequence(cursor)
            return [str(key) for (key,) in cursor.execute(_STILL_LOST, [list(keys)])]

    def _note(self, action: str, keys: Sequence[str], reason: str) -> None:
        if keys:
            detail = Jsonb({"reason": reason, "receipts": list(keys)})
            self._connection.execute(_NOTE, [action, detail])

    def _rows(self, statement: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        with postgres_errors("staging.receipt"):
            return self._connection.execute(statement, parameters).fetchall()


def money(rows: Sequence[Mapping[str, Any]]) -> str:
    """Their sums, by currency."""
    sums: dict[str, Decimal] = {}
    for row in rows:
        sums[row["currency"]] = sums.get(row["currency"], Decimal()) + row["amount"]
    return ", ".join(f"{amount} {currency}" for currency, amount in sorted(sums.items())) or "nothing"
