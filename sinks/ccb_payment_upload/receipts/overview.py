"""How many receipts there are in each state: for `ccbridge status` and the demo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from cdc.postgres.connect import Connection
from cdc.staging.overview import rows
from sinks.ccb_payment_upload.receipts.lost import LOST

_RECEIPTS = """
select state, count(*) as receipts, coalesce(sum(amount), 0) as amount, currency,
       case when state <> 'posted' then extract(epoch from now() - min(built_at))::float8 end as oldest_s,
       max(coalesce(posted_at, accepted_at, sent_at, built_at)) as last_at
from staging.receipt where not tombstone group by state, currency
order by array_position(array['built', 'sent', 'accepted', 'posted'], state) nulls last, state, currency
"""
_LOST = f"""
select count(*) as receipts, coalesce(sum(amount), 0) as amount, currency
from staging.receipt where sent_at is not null and state_reason = '{LOST}' group by currency order by currency
"""  # noqa: S608 - our own text


def receipts(connection: Connection) -> list[dict[str, Any]]:
    """Receipts by state and currency, in the order of their life: number, sum, time of the last step.

    `oldest_s` is the age of the oldest in seconds, None for those that are posted.
    """
    return rows(connection, _RECEIPTS)


def lost_receipts(connection: Connection) -> list[dict[str, Any]]:
    """Receipts that a restored CC&B lost and that have no decision, by currency: number, sum."""
    return rows(connection, _LOST)


def by_state(receipts: Iterable[Mapping[str, Any]]) -> Mapping[str, int]:
    """How many receipts are in each state, over all currencies."""
    found: Counter[str] = Counter()
    for one in receipts:
        found[one["state"]] += one["receipts"]
    return found
