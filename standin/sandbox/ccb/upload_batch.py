"""The simulated payment upload of CC&B (batch PUPL): upload staging in, payment events out.

Each transmission is one transaction, read and written in arrays, so a batch that is killed leaves the
transmission as it was and the next run takes it again. What is decided, and on whose word, is in
`sandbox.ccb.upload_rules`. As in CC&B nothing here recognises a receipt sent twice under two
transmission ids: it is posted twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import oracledb

from sandbox.ccb import payments
from sandbox.ccb import upload_staging as staging
from sandbox.ccb.keys import Keys
from sandbox.ccb.schema import tables
from sandbox.ccb.upload_rules import (
    ControlState,
    Decision,
    Deposit,
    Distribution,
    TenderControl,
    TenderState,
    decide,
)

_UNIQUE_VIOLATED = 1


@dataclass
class UploadCounts:
    """What one run did, in tenders; transmissions in error count as `rejected`."""

    posted: int = 0
    suspense: int = 0
    errors: int = 0
    waiting: int = 0
    rejected: int = 0

    def __iadd__(self, other: UploadCounts) -> UploadCounts:
        """Add another run's counts."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        return self


class PaymentUpload:
    """Runs the upload as the application's user on `connection`; one thread at a time.

    Args:
        connection: a session of CISUSER; each transmission is committed on it.
        today: the site's date.
    """

    def __init__(
        self,
        connection: oracledb.Connection,
        *,
        today: Callable[[], date] = lambda: payments.site_now().date(),
    ) -> None:
        self._connection = connection
        self._today = today
        self._keys = Keys(random.SystemRandom())

    def run(self) -> UploadCounts:
        """Process every transmission that is pending, in progress or in error; commits each.

        Raises:
            oracledb.Error: the database refused; the transmission at hand is rolled back.
        """
        counts = UploadCounts()
        with self._connection.cursor() as cursor:
            for deposit in staging.open_deposits(cursor):
                try:
                    counts += self._upload(cursor, deposit)
                except oracledb.Error as exc:
                    self._connection.rollback()
                    if getattr(exc.args[0], "code", 0) != _UNIQUE_VIOLATED:
                        raise
                    # an id that the database has already: the next run takes other ids
        return counts

    def _upload(self, cursor: oracledb.Cursor, deposit: Deposit) -> UploadCounts:
        place = (deposit.source, deposit.transmission)
        controls = staging.controls(cursor, place)
        tenders = staging.pending_tenders(cursor, place)
        in_error = staging.tenders_in_error(cursor, place)
        site = staging.site(cursor, deposit, tenders)
        decision = decide(deposit, controls, tenders, in_error, site, self._today())
        self._write(cursor, deposit, controls, decision)
        self._connection.commit()
        return UploadCounts(
            posted=len(decision.posted),
            suspense=sum(one.suspense for one in decision.posted),
            errors=len(decision.errors),
            waiting=decision.waiting,
            rejected=int(decision.deposit is ControlState.ERROR),
        )

    def _write(
        self,
        cursor: oracledb.Cursor,
        deposit: Deposit,
        controls: Sequence[TenderControl],
        decision: Decision,
    ) -> None:
        place = (deposit.source, deposit.transmission)
        control_ids = {c.batch: c.control_id for c in controls}
        deposit_id = deposit.control_id
        if decision.posted:
            deposit_id = self._open_deposit_control(cursor, deposit)
            self._open_tender_controls(cursor, deposit, deposit_id, decision, control_ids)
            self._post(cursor, deposit, decision, control_ids)
        if decision.errors:
            exceptions = [(*place, t.batch, t.reference, int(message)) for t, message in decision.errors]
            cursor.executemany(_FORGET_EXCEPTION, [row[:4] for row in exceptions])
            cursor.executemany(_NOTE_EXCEPTION, exceptions)
            cursor.executemany(
                _SET_TENDER,
                [(TenderState.ERROR, " ", *place, t.batch, t.reference) for t, _ in decision.errors],
            )
        changed = [
            (decision.controls[c.batch], control_ids[c.batch], *place, c.batch)
            for c in controls
            if c.batch in decision.controls
            and (decision.controls[c.batch], control_ids[c.batch]) != (c.state, c.control_id)
        ]
        if changed:
            cursor.executemany(_SET_CONTROL, changed)
        if (decision.deposit, deposit_id) != (deposit.state, deposit.control_id):
            cursor.execute(_SET_DEPOSIT, (decision.deposit, deposit_id, *place))

    def _open_deposit_control(self, cursor: oracledb.Cursor, deposit: Deposit) -> str:
        if deposit.control_id.strip():
            return deposit.control_id
        control_id = self._keys.make()
        cursor.execute(_DEPOSIT_CONTROL, (control_id, payments.site_now(), deposit.currency, deposit.amount))
        return control_id

    def _open_tender_controls(
        self,
        cursor: oracledb.Cursor,
        deposit: Deposit,
        deposit_id: str,
        decision: Decision,
        control_ids: dict[str, str],
    ) -> None:
        """Give each tender control that posts for the first time its CI_TNDR_CTL row."""
        batches = dict.fromkeys(one.tender.batch for one in decision.posted)
        new = [batch for batch in batches if not control_ids[batch].strip()]
        source = cursor.execute(staging.SOURCE, (deposit.source,)).fetchone()
        for batch in new:
            control_ids[batch] = self._keys.make()
        if new and source is not None:
            cursor.executemany(
                _TENDER_CONTROL,
                [
                    (
                        control_ids[batch],
                        source[0],
                        payments.site_now(),
                        deposit_id,
                        deposit.currency,
                        deposit.transmission,
                    )
                    for batch in new
                ],
            )

    def _post(
        self, cursor: oracledb.Cursor, deposit: Deposit, decision: Decision, control_ids: dict[str, str]
    ) -> None:
        now = payments.site_now()
        events = [
            self._event(one, deposit.currency, control_ids[one.tender.batch]) for one in decision.posted
        ]
        payments.insert(cursor, events)
        payments.freeze(cursor, [share for event in events for share in event.shares], now)
        place = (deposit.source, deposit.transmission)
        cursor.executemany(
            _SET_TENDER,
            [
                (TenderState.COMPLETE, event.tender_id, *place, one.tender.batch, one.tender.reference)
                for event, one in zip(events, decision.posted, strict=True)
            ],
        )
        cursor.executemany(
            _FORGET_EXCEPTION, [(*place, one.tender.batch, one.tender.reference) for one in decision.posted]
        )

    def _event(self, one: Distribution, currency: str, control_id: str) -> payments.PaymentEvent:
        tender = one.tender
        if tender.accounting_date is None:
            raise ValueError("a tender without accounting date is never posted")
        return payments.PaymentEvent(
            event_id=self._keys.make(12),
            tender_id=self._keys.make(12),
            control_id=control_id,
            paid_on=tender.accounting_date,
            created_at=payments.site_now(),
            currency=currency,
            tender_type=tender.tender_type,
            payer_account_id=one.payer_account_id,
            amount=tender.amount,
            shares=tuple(payments.share(self._keys, *part) for part in one.shares),
            reference=tender.reference,
            customer=tender.customer,
            payer_name=tender.payer_name,
        )


_SET_TENDER = (
    "update CISADM.CI_PAY_TNDR_ST set PAY_TND_STG_ST_FLG = :1, PAY_TENDER_ID = :2, VERSION = VERSION + 1"
    " where EXT_SOURCE_ID = :3 and EXT_TRANSMIT_ID = :4 and EXT_BATCH_ID = :5 and EXT_REFERENCE_ID = :6"
)
_SET_CONTROL = (
    "update CISADM.CI_TNDR_CTL_ST set TND_CTL_STG_ST_FLG = :1, TNDR_CTL_ID = :2, VERSION = VERSION + 1"
    " where EXT_SOURCE_ID = :3 and EXT_TRANSMIT_ID = :4 and EXT_BATCH_ID = :5"
)
_SET_DEPOSIT = (
    "update CISADM.CI_DEP_CTL_ST set DEP_CTL_STG_ST_FLG = :1, DEP_CTL_ID = :2, VERSION = VERSION + 1,"
    " LAST_UPDATE_INST = LAST_UPDATE_INST + 1 where EXT_SOURCE_ID = :3 and EXT_TRANSMIT_ID = :4"
)
_FORGET_EXCEPTION = (
    "delete from CISADM.CI_TNDR_ST_EXCP where EXT_SOURCE_ID = :1 and EXT_TRANSMIT_ID = :2"
    " and EXT_BATCH_ID = :3 and EXT_REFERENCE_ID = :4"
)
_NOTE_EXCEPTION = tables()["CI_TNDR_ST_EXCP"].insert_statement(
    ("EXT_SOURCE_ID", "EXT_TRANSMIT_ID", "EXT_BATCH_ID", "EXT_REFERENCE_ID", "MESSAGE_NBR"),
    USER_ID="BATCH",
    REVIEW_COMPLETE_SW="N",
)
_DEPOSIT_CONTROL = tables()["CI_DEP_CTL"].insert_statement(
    ("DEP_CTL_ID", "CRE_DTTM", "CURRENCY_CD", "END_BALANCE"),
    TNDR_SRCE_TYPE_FLG="LOCK",
    DEP_CTL_STATUS_FLG="40",
    USER_ID="BATCH",
)
_TENDER_CONTROL = tables()["CI_TNDR_CTL"].insert_statement(
    ("TNDR_CTL_ID", "TNDR_SOURCE_CD", "CRE_DTTM", "DEP_CTL_ID", "CURRENCY_CD", "EXT_TRANSMIT_ID"),
    TNDR_CTL_ST_FLG="30",
    USER_ID="BATCH",
    ALL_OPERATORS_SW="Y",
    ARCHIVE_SW="N",
    BATCH_CD="PUPL",
)
