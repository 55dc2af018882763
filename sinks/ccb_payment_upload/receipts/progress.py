"""What CC&B made of our receipts, read from its staged changes: no polling of CC&B.

CC&B fills the tender id in its upload staging, creates event, tender and payment, and freezes the
payment; all of that is captured like any other change. One statement compares the receipts touched
by what was staged since the last look with those rows. States only move forward, so looking again
at old changes does nothing.
"""

from __future__ import annotations

from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors
from cdc.staging.leases import Lease
from sinks.ccb_payment_upload.receipts.versions import execute, replacing

RANKS = {"built": 0, "sent": 1, "error": 2, "accepted": 3, "suspense": 4, "posted": 5, "reversed": 6}
"""Order of the states; a receipt never goes to one of a smaller rank by what CC&B did."""

_FROZEN, _CANCELED = "50", "60"  # PAY_STATUS_FLG, confirmed by Oracle's pages
_PENDING = "10"  # PAY_TND_STG_ST_FLG as loaded; the codes of complete and error differ by site

_AT_ONCE = 5_000
"""Receipts in one statement."""

_HIGHEST = """
select greatest(
    (select staged_seq from staging.upload_tender order by staged_seq desc limit 1),
    (select staged_seq from staging.tender order by staged_seq desc limit 1),
    (select staged_seq from staging.payment order by staged_seq desc limit 1),
    (select staged_seq from staging.receipt order by staged_seq desc limit 1))
"""  # not max(): a server that takes the table for empty would read all of it for that

_RANK = "case {} " + " ".join(f"when '{state}' then {rank}" for state, rank in RANKS.items()) + " end"

# Receipts whose upload row, tender, payment or own row is newer than the last look.
_TOUCHED = """
select external_reference from staging.upload_tender
    where staged_seq > %(low)s and staged_seq <= %(high)s
union
select external_reference from staging.tender
    where staged_seq > %(low)s and staged_seq <= %(high)s and external_reference is not null
union
select t.external_reference from staging.payment p
    join staging.tender t on t.payment_event_id = p.payment_event_id
    where p.staged_seq > %(low)s and p.staged_seq <= %(high)s and t.external_reference is not null
union
select recharge_id from staging.receipt where staged_seq > %(low)s and staged_seq <= %(high)s
"""

# Touched receipts beside what CC&B has made of them. `mine` is the payment that counts: frozen for
# the right account and amount before frozen for another, before the one known so far, before others.
_EVALUATED = f"""(
    select r.recharge_id, coalesce(u.tender_id, r.tender_id) as tender_id, t.payment_event_id,
        mine.payment_id,
        coalesce(u.committed_at, t.committed_at) as accepted_at,
        case when mine.fits and mine.status = '{_FROZEN}' then mine.committed_at end as posted_at,
        greatest(u.committed_at, t.committed_at, mine.committed_at) as changed_at,
        case
            when mine.status = '{_FROZEN}' and mine.fits then 'posted'
            when r.state = 'posted' and exists (
                select from staging.payment own where own.payment_id = r.payment_id
                    and own.status = '{_CANCELED}') then 'reversed'
            when mine.status = '{_FROZEN}' then 'suspense'
            when mine.status = '{_CANCELED}' then 'reversed'
            when coalesce(u.tender_id, r.tender_id) is not null then 'accepted'
            when u.status <> '{_PENDING}' then 'error'
            else r.state
        end as state,
        case
            when mine.status = '{_FROZEN}' and mine.fits then null
            when mine.status = '{_FROZEN}' and not mine.fits and r.state <> 'posted' then
                case when mine.amount = r.amount then 'CC&B posted it to another account'
                    else 'CC&B posted another amount' end
            when mine.status = '{_CANCELED}' or r.state = 'posted' then 'CC&B cancelled the payment'
            when u.tender_id is null and u.status <> '{_PENDING}' then 'CC&B refused the upload row'
        end as state_reason
    from staging.receipt r
    left join staging.upload_tender u on u.external_source = r.external_source
        and u.transmission_id = r.transmission_id and u.batch_id = r.batch_id
        and u.external_reference = r.recharge_id
    left join staging.tender t on t.tender_id = coalesce(u.tender_id, r.tender_id)
    left join lateral (
        select p.payment_id, p.status, p.amount, p.committed_at,
            p.amount = r.amount and (p.account_id = r.account_id or exists (
                select from staging.agreement a
                where a.account_id = p.account_id and a.old_account_id = r.account_id)) as fits
        from staging.payment p
        where p.payment_event_id = t.payment_event_id and not p.tombstone
        order by (p.status = '{_FROZEN}') desc, fits desc, p.payment_id = r.payment_id desc nulls last,
            p.payment_id
        limit 1
    ) as mine on true
    where r.recharge_id = any(%(touched)s) and r.sent_at is not null and case
        when u.external_reference is null then r.tender_id is not null  -- purged before it was captured
        else not u.tombstone or u.tender_id is not null end
) as found"""  # noqa: S608 - our own text

# A payment entered again under the same event, after the first one was cancelled, counts again.
_MOVED = f"""{_EVALUATED} join staging.receipt r on r.recharge_id = found.recharge_id
where {_RANK.format("found.state")} > {_RANK.format("r.state")}
    or r.state = 'reversed' and found.state = 'posted' and found.payment_id <> r.payment_id"""

_ANY = f"select exists (select from {_MOVED})"  # noqa: S608 - our own text
_FOLLOW = replacing(
    _MOVED,
    {
        "state": "found.state",
        "state_reason": "found.state_reason",
        "tender_id": "coalesce(found.tender_id, r.tender_id)",
        "payment_event_id": "coalesce(found.payment_event_id, r.payment_event_id)",
        "payment_id": "coalesce(found.payment_id, r.payment_id)",
        "accepted_at": "coalesce(r.accepted_at, case when found.tender_id is not null "
        "then found.accepted_at end)",
        "posted_at": "coalesce(found.posted_at, r.posted_at)",
    },
    committed_at="found.changed_at",
)


class ReceiptProgress:
    """Moves receipts along; remembers how far it has looked.

    Args:
        connection: to staging, with no transaction open.
        lease: verified before anything is written; None for a tool that runs alone.
    """

    def __init__(self, connection: Connection, lease: Lease | None) -> None:
        self._connection, self._lease = connection, lease
        self._seen = 0

    def follow(self) -> int:
        """Move every receipt that CC&B has dealt with since the last call; commits.

        The first call looks at all receipts; later ones only at those touched since, so it can be
        called many times a second whatever the number of receipts.

        Returns:
            How many receipts moved.

        Raises:
            LeaseLost: another process has taken over.
            TransientError: staging is not reachable.
        """
        connection = self._connection
        with postgres_errors("staging.receipt"), connection.transaction():
            row = connection.execute(_HIGHEST).fetchone()
            highest = int(str(row[0])) if row and row[0] is not None else 0
            if highest <= self._seen:
                return 0
            window = {"low": self._seen, "high": highest}
            touched = [key for (key,) in connection.execute(_TOUCHED, window, prepare=False)]
            parts = (touched[start : start + _AT_ONCE] for start in range(0, len(touched), _AT_ONCE))
            moved = sum(self._move(part) for part in parts)
        self._seen = highest
        return moved

    def _move(self, touched: list[object]) -> int:
        parameters = {"touched": touched}
        # an array of known length lets the server plan by index, whatever it knows of the tables
        if self._connection.execute(_ANY, parameters, prepare=False).fetchone() != (True,):
            return 0
        if self._lease is not None:
            self._lease.verify(self._connection)
        return execute(self._connection, _FOLLOW, parameters)
