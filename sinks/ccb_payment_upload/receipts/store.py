"""Receipts: each recharge's way into CC&B, from built to posted, sent at most once.

A receipt is built when its recharge is staged, and belongs to one transmission from then on. Before
a transmission is sent its content is frozen, so that sending it again after a crash sends the same;
CC&B's keys and the sink's look for the receipt under other transmissions do the rest. What CC&B made
of it is read from its staged changes (`sinks.ccb_payment_upload.receipts.progress`).

The flow: `build` what is desired; `waiting` receipts to the sink's precheck and its rejections to
`checked`; each of `unsent` to the sink and then to `mark_sent`; `follow` whenever CC&B changed.
Why it is built so: `docs/decisions/0004-receipts.md`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from cdc.ports import REJECTION_SCHEMA
from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors
from cdc.staging.leases import Lease
from mapping_rules import OutboundProgram
from sinks.ccb_payment_upload.receipts.lost import PLACE_SCHEMA
from sinks.ccb_payment_upload.receipts.progress import ReceiptProgress
from sinks.ccb_payment_upload.receipts.recharges import recharges, rejected_recharges, rejection
from sinks.ccb_payment_upload.receipts.versions import adding, execute, replacing
from sinks.ccb_payment_upload.section import PaymentUpload

RECEIPT_SCHEMA: Mapping[str, Any] = {
    "recharge_id": pl.String,
    "account_id": pl.String,
    "amount": pl.Decimal(15, 2),
    "currency": pl.String,
    "tender_type": pl.String,
    "accounting_date": pl.Date,
    "external_source": pl.String,
    "transmission_id": pl.String,
    "batch_id": pl.String,
}
"""Columns of the receipts handed to the sink."""

BATCH_ID = "1"  # EXT_BATCH_ID: one batch in each transmission
_SENDING = "sending"
"""state_reason of a built receipt whose transmission may be in CC&B already: its content is frozen."""
_WITHDRAWN = "the recharge was withdrawn before it was sent"
_UNSENT = f"""(r.state = 'built' and r.state_reason is distinct from '{_SENDING}'
    or r.state = 'error' and r.sent_at is null)"""
_TYPES = {
    "recharge_id": "text",
    "account_id": "text",
    "amount": "numeric(15,2)",
    "currency": "text",
    "tender_type": "text",
    "accounting_date": "date",
    "external_source": "text",
    "transmission_id": "text",
    "batch_id": "text",
}
_RECORDS = "jsonb_to_recordset(%(rows)s::jsonb) as w ({})"
_GIVEN = _RECORDS.format(", ".join(f"{name} {kind}" for name, kind in _TYPES.items()))
_CONTENT = [name for name in _TYPES if name != "recharge_id"]

_ADD = adding(
    f"(select * from {_GIVEN}) as w",  # noqa: S608 - our own text
    {name: f"n.{name}" for name in _TYPES} | {"state": "'built'", "built_at": "now()"},
)
_REVISE = replacing(
    f"{_GIVEN} join staging.receipt r on r.recharge_id = w.recharge_id where {_UNSENT}",
    {name: f"w.{name}" for name in _CONTENT} | {"state": "'built'", "state_reason": "null::text"},
)
_REJECT = replacing(
    f"{_RECORDS.format('recharge_id text, reason text')} "
    "join staging.receipt r on r.recharge_id = w.recharge_id "
    f"where {_UNSENT} and (r.state <> 'error' or r.state_reason is distinct from w.reason)",
    {"state": "'error'", "state_reason": "w.reason"},
)
_SENT = replacing(
    f"{_RECORDS.format('recharge_id text, transmission_id text, batch_id text, tender_id text')} "
    "join staging.receipt r on r.recharge_id = w.recharge_id where r.state = 'built'",
    {
        "tender_id": "coalesce(w.tender_id, r.tender_id)",
        "state": "'sent'",
        "state_reason": "null::text",
        "sent_at": "now()",
        "transmission_id": "w.transmission_id",
        "batch_id": "w.batch_id",
    },
)
_BESIDE = f"""
select w.recharge_id, r.recharge_id is not null as known, coalesce({_UNSENT}, false) as unsent,
    coalesce((r.account_id, r.amount, r.currency) is distinct from (w.account_id, w.amount, w.currency),
        false) as differs,
    coalesce(r.state_reason = '{_WITHDRAWN}', false) as withdrawn, coalesce(r.state, '') as state
from {_RECORDS.format("recharge_id text, account_id text, amount numeric(15,2), currency text")}
left join staging.receipt r on r.recharge_id = w.recharge_id
"""  # noqa: S608 - our own text
_FREEZE = f"""
update staging.receipt r set state_reason = '{_SENDING}' where r.state = 'built' and r.state_reason is null
"""  # noqa: S608 - our own text
_THAW = f"""
update staging.receipt r set state_reason = null
where r.recharge_id = any(%(keys)s) and r.state = 'built' and r.state_reason = '{_SENDING}'
"""  # noqa: S608 - our own text
_UNKNOWN = """
select id from unnest(%(ids)s::text[]) as asked(id)
where not exists (select from staging.receipt r where r.transmission_id = id)
    and not exists (select from staging.receipt_history h where h.transmission_id = id)
"""
_LAST_SENT = """
with newest as (
    select r.external_source, r.transmission_id from staging.receipt r
    where r.sent_at > (select bound_at from staging.target_binding where sink = %s)
        and not exists (           -- by a change; a snapshot without it may be of a restored CC&B
            select from staging.upload_tender u where u.tombstone and u.operation = 'd'
                and u.external_source = r.external_source and u.transmission_id = r.transmission_id)
    order by r.sent_at desc limit 1)
select r.recharge_id, r.account_id, r.external_source, r.transmission_id, r.tender_id
from newest join staging.receipt r using (external_source, transmission_id) where r.sent_at is not null
"""
_COLUMNS = ", ".join(f"r.{name}" for name in _TYPES)


@dataclass(frozen=True)
class Built:
    """What `build` did.

    Args:
        built: receipts added, or changed before they were sent.
        withdrawn: receipts whose recharge is gone and that will not be sent.
        held: recharges that cannot be built or no longer match what was sent, by REJECTION_SCHEMA.
    """

    built: int
    withdrawn: int
    held: pl.DataFrame


class Receipts:
    """The receipts of one staging database. One thread; every call commits.

    Args:
        connection: to staging, with no transaction open.
        upload: external source, default tender type, size of a transmission.
        lease: verified in every writing transaction; None for a tool that runs alone.

    Raises (any call):
        LeaseLost: another process has taken over; nothing was written.
        TransientError: staging is not reachable; nothing was written.
    """

    def __init__(self, connection: Connection, upload: PaymentUpload, lease: Lease | None = None) -> None:
        self._connection, self._upload, self._lease = connection, upload, lease
        self._progress = ReceiptProgress(connection, lease)

    def build(self, program: OutboundProgram, desired: pl.DataFrame) -> Built:
        """Make receipts of the recharges that have none.

        A recharge that has one already changes nothing, so a window may come twice. One that
        changed or went before its receipt was sent changes or withdraws it; afterwards CC&B holds
        the payment, and the difference is reported.

        Args:
            program: the outbound rule of the payment upload.
            desired: its desired rows.
        """
        rows = recharges(program, desired, self._upload)
        current, rejected = rows.filter(~pl.col("_deleted")), rejected_recharges(program, rows)
        current = current.join(rejected, on="recharge_id", how="anti")
        gone = rows.filter("_deleted")
        with postgres_errors("staging.receipt"), self._connection.transaction():
            self._verify()
            beside = self._beside(pl.concat([current, gone]))
            current, gone = (frame.join(beside, on="recharge_id") for frame in (current, gone))
            changed = current.filter(pl.col("unsent") & (pl.col("differs") | pl.col("withdrawn")))
            built = self._store(_ADD, self._in_transmissions(current.filter(~pl.col("known"))))
            built += self._store(_REVISE, self._in_transmissions(changed))
            leaving = gone.filter(pl.col("unsent") & ~pl.col("withdrawn"))
            withdrawn = self._store(_REJECT, leaving.select("recharge_id", reason=pl.lit(_WITHDRAWN)))
        sent = pl.col("known") & ~pl.col("unsent")
        late = current.filter(sent & pl.col("differs"))
        lost = gone.filter(sent & (pl.col("state") != "reversed"))
        rejections = [
            rejected,
            rejection(
                program, late, "changed_after_sending", "the recharge changed after it was sent to CC&B"
            ),
            rejection(
                program,
                lost,
                "withdrawn_after_sending",
                "the recharge was withdrawn after it was sent, cancel its payment in CC&B",
            ),
        ]
        return Built(built, withdrawn, pl.concat(rejections).select(*REJECTION_SCHEMA))

    def waiting(self, *, rejected: bool = False) -> pl.DataFrame:
        """Receipts to be checked before they are sent (RECEIPT_SCHEMA).

        Args:
            rejected: those that failed an earlier check as well.
        """
        states = "'built', 'error'" if rejected else "'built'"
        return self._read(
            f"where {_UNSENT} and r.state in ({states}) and r.state_reason is distinct from '{_WITHDRAWN}'"
        )

    def checked(self, waiting: pl.DataFrame, rejections: pl.DataFrame) -> int:
        """Reject the receipts that failed their check; accept those that no longer do.

        Args:
            waiting: what was checked.
            rejections: recharge_id, reason of those that failed.

        Returns:
            How many receipts got a new state.
        """
        with postgres_errors("staging.receipt"), self._connection.transaction():
            self._verify()
            passed = waiting.join(rejections, on="recharge_id", how="anti").select("recharge_id")
            failed_before = self._read("where r.state = 'error' and r.sent_at is null")
            again = failed_before.join(passed, on="recharge_id", how="semi")
            moved = self._store(_REJECT, rejections.select("recharge_id", "reason"))
            return moved + self._store(_REVISE, self._in_transmissions(again))

    def unsent(self) -> list[pl.DataFrame]:
        """The transmissions to send, oldest first (RECEIPT_SCHEMA, one frame each).

        Their content is frozen from now on: they may be in CC&B although no answer arrived.
        """
        with postgres_errors("staging.receipt"), self._connection.transaction():
            self._verify()
            self._connection.execute(_FREEZE)
            frame = self._read("where r.state = 'built' order by r.staged_seq")
        return frame.partition_by("transmission_id", maintain_order=True)

    def refused(self, transmission: pl.DataFrame, rejections: pl.DataFrame) -> int:
        """Reject the receipts that CC&B refuses; the others of the transmission go in new ones.

        Args:
            transmission: as it was to be sent; CC&B holds nothing of it.
            rejections: recharge_id, reason of the receipts that are refused.

        Returns:
            How many receipts were rejected.
        """
        keys = transmission["recharge_id"].to_list()
        with postgres_errors("staging.receipt"), self._connection.transaction():
            self._verify()
            self._connection.execute(_THAW, {"keys": keys})
            others = transmission.join(rejections, on="recharge_id", how="anti")
            self._store(_REVISE, self._in_transmissions(others))
            return self._store(_REJECT, rejections.select("recharge_id", "reason"))

    def mark_sent(self, transmission: pl.DataFrame, tenders: Mapping[str, str] | None = None) -> int:
        """CC&B holds these receipts, under the ids given here.

        Args:
            transmission: receipts, of one transmission or several.
            tenders: CC&B's tender by receipt, of those that it has purged from its upload tables.
        """
        with postgres_errors("staging.receipt"), self._connection.transaction():
            self._verify()
            known = pl.col("recharge_id").replace_strict(tenders or {}, default=None, return_dtype=pl.String)
            rows = transmission.select("recharge_id", "transmission_id", "batch_id", tender_id=known)
            return self._store(_SENT, rows)

    def unknown(self, transmission_ids: Iterable[str]) -> set[str]:
        """Which transmissions no receipt was ever in."""
        asked = list(transmission_ids)
        with postgres_errors("staging.receipt"), self._connection.transaction():
            found = self._connection.execute(_UNKNOWN, {"ids": asked}, prepare=False).fetchall()
        return {str(one) for (one,) in found}

    def last_sent(self, sink: str) -> pl.DataFrame:
        """Receipts of the newest transmission that CC&B must still hold (PLACE_SCHEMA); empty for none.

        Those sent before the sink's target was bound count no more. CC&B removes transmissions when it purges
        them; the changes captured of it tell.
        """
        with postgres_errors("staging.receipt"), self._connection.transaction():
            rows = self._connection.execute(_LAST_SENT, [sink]).fetchall()
        return pl.DataFrame(rows, schema=PLACE_SCHEMA, orient="row")

    def follow(self) -> int:
        """Move the receipts that CC&B has dealt with; returns how many."""
        return self._progress.follow()

    def _in_transmissions(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Give receipts their transmission: of one currency, small, with an id derived from its receipts."""
        size, source = self._upload.max_per_transmission, self._upload.external_source
        numbered = frame.with_columns(_part=pl.int_range(pl.len()).over("currency") // size)
        parts = numbered.partition_by(["currency", "_part"], maintain_order=True)
        named = [
            part.with_columns(
                external_source=pl.lit(source),
                transmission_id=pl.lit(transmission_id(source, part["recharge_id"].to_list())),
                batch_id=pl.lit(BATCH_ID),
            )
            for part in parts
        ]
        return pl.concat([pl.DataFrame(schema=RECEIPT_SCHEMA), *(p.select(*RECEIPT_SCHEMA) for p in named)])

    def _beside(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What is stored already for these recharges."""
        given = rows.select("recharge_id", "account_id", "amount", "currency")
        found = self._connection.execute(_BESIDE, {"rows": given.write_json()}, prepare=False).fetchall()
        kinds: dict[str, Any] = {
            "known": pl.Boolean,
            "unsent": pl.Boolean,
            "differs": pl.Boolean,
            "withdrawn": pl.Boolean,
        }
        kinds = {"recharge_id": pl.String, **kinds, "state": pl.String}
        return pl.DataFrame(found, schema=kinds, orient="row")

    def _store(self, statement: str, rows: pl.DataFrame) -> int:
        if rows.is_empty():
            return 0
        return execute(self._connection, statement, {"rows": rows.write_json()})

    def _read(self, condition: str) -> pl.DataFrame:
        with postgres_errors("staging.receipt"), self._connection.transaction():
            statement = f"select {_COLUMNS} from staging.receipt r {condition}"  # noqa: S608 - our own text
            rows = self._connection.execute(statement).fetchall()
        return pl.DataFrame(rows, schema=RECEIPT_SCHEMA, orient="row")

    def _verify(self) -> None:
        if self._lease is not None:
            self._lease.verify(self._connection)


def transmission_id(external_source: str, recharge_ids: list[str]) -> str:
    """EXT_TRANSMIT_ID of a set of receipts: 29 characters, for releases where the column has 30."""
    text = "\n".join([external_source, *sorted(recharge_ids)])
    return f"ccbridge-{hashlib.sha256(text.encode()).hexdigest()[:20]}"
