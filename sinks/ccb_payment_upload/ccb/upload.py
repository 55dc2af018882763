"""Recharges into CC&B through its documented payment upload staging, each at most once.

Whole transmissions are one Oracle transaction, one or several, and one call. CC&B itself does not keep a
receipt from being paid twice, so nothing is inserted before looking for the receipts under any transmission;
after a lost connection the outcome is read, never guessed. Which receipts are sent, and what became of them:
`sinks.ccb_payment_upload.receipts`. The tables: `sinks.ccb_payment_upload.ccb.tables`. The looks:
`sinks.ccb_payment_upload.ccb.lookup`. The call: `sinks.ccb_payment_upload.ccb.call`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import oracledb
import polars as pl

from cdc.config import OracleSystem
from cdc.errors import DatabaseUnreachable, OperatorError, RowError, TransientError
from cdc.oracle.apply_log import apply_log
from cdc.oracle.connect import close, connect, fixed_in_pdb
from cdc.oracle.errors import oracle_errors
from cdc.oracle.identity import target_identity
from cdc.ports import Admission, Finding
from sinks.ccb_payment_upload.ccb import checks, lookup
from sinks.ccb_payment_upload.ccb.call import UploadCall
from sinks.ccb_payment_upload.ccb.lookup import locate
from sinks.ccb_payment_upload.ccb.ouaf import found_among
from sinks.ccb_payment_upload.ccb.tables import ACCOUNTS, AGREEMENTS, SOURCES, TYPES, UploadTables
from sinks.ccb_payment_upload.section import PaymentUpload

_ATTEMPTS = 2
RECEIPT_REJECTION_SCHEMA = {"recharge_id": pl.String, "reason_code": pl.String, "reason": pl.String}
"""Columns of `precheck`'s answer."""


@dataclass(frozen=True)
class SendOutcome:
    """What CC&B's upload tables hold after `send`.

    Args:
        already_there: nothing had to be inserted.
        receipts: the receipts sent, each with the transmission and batch that hold it.
        tenders: CC&B's tender by receipt, of those that it has booked and purged from its upload tables.
    """

    already_there: bool
    receipts: pl.DataFrame
    tenders: Mapping[str, str] = field(default_factory=dict)


class CcbUpload:
    """Writes the payment upload staging tables of one CC&B. One thread; connects on first use.

    Args:
        system: name of the system in the configuration.
        settings: where and as whom.
        upload: external source and tender types.

    Attributes:
        admission: asked in each new session, before anything is read or written; None for a tool that runs
            alone.
        paid_before: receipts of earlier accounting dates may have been sent by a staging that is lost, so
            they are looked for among CC&B's tenders too; None for none.
    """

    def __init__(self, system: str, settings: OracleSystem, upload: PaymentUpload) -> None:
        self.system, self.settings, self.upload = system, settings, upload
        self.name = f"{system}.payment_upload"
        self._subject = f"{settings.user}@{settings.dsn}"
        self._apply_log = apply_log(settings)
        self.admission: Admission | None = None
        self.paid_before: date | None = None
        self._connection: oracledb.Connection | None = None
        self._tables: UploadTables | None = None
        self._call: UploadCall | None = None

    def preflight(self) -> list[Finding]:
        """Everything that would keep this sink from writing, all at once; read only.

        Raises:
            CcbridgeError: CC&B's database cannot be reached or refuses the login.
        """
        with oracle_errors(self._subject), self._session().cursor() as cursor:
            found = checks.findings(cursor, self.settings, self.upload)
            found += self._apply_log.findings(cursor) if self._apply_log else ()
        return fixed_in_pdb(found, self.settings.pdb)

    def identity(self) -> dict[str, str]:
        """What tells the database from others.

        Raises:
            CcbridgeError: it cannot be reached, or V$DATABASE not be read.
        """
        with oracle_errors(self._subject):
            return target_identity(self.settings, self._session())

    def transmissions(self, *, since: datetime | None) -> dict[str, datetime]:
        """Transmissions of ccbridge under our external source after a time of CC&B's clock.

        Raises:
            TargetRefused: not the database that staging is bound to.
            TransientError: not reachable.
        """
        with oracle_errors(self._subject), self._session().cursor() as cursor:
            found = self._described(cursor).transmissions(cursor, self.upload.external_source, since=since)
            self._session().rollback()  # ends the read
        return found

    def held(self, receipts: pl.DataFrame) -> set[str]:
        """Which receipts CC&B has, in its upload tables or among its tenders.

        Args:
            receipts: recharge_id, account_id, external_source, tender_id (null where CC&B assigned none).

        Raises:
            TargetRefused: not the database that staging is bound to.
            TransientError: not reachable.
        """
        with oracle_errors(self._subject), self._session().cursor() as cursor:
            found = lookup.held(cursor, self._described(cursor), receipts)
            self._session().rollback()  # ends the read
        return found

    def precheck(self, receipts: pl.DataFrame) -> pl.DataFrame:
        """Receipts that CC&B would not post as desired: recharge_id, reason_code, reason.

        An unknown account is not refused by CC&B: its money goes to the suspense agreement.

        Raises:
            OperatorError: CC&B has no tender source with our external source id.
            TransientError: not reachable.
        """
        if receipts.is_empty():
            return pl.DataFrame(schema=RECEIPT_REJECTION_SCHEMA)
        with oracle_errors(self._subject), self._session().cursor() as cursor:
            tables = self._described(cursor)
            self._require_source(cursor, tables)
            long = tables.longer_than_columns(receipts)
            types = self._unknown(cursor, tables, receipts, "tender_type", ((TYPES, "TENDER_TYPE_CD"),))
            places = ((ACCOUNTS, "ACCT_ID"), (AGREEMENTS, "OLD_ACCT_ID"))
            accounts = self._unknown(cursor, tables, receipts, "account_id", places)
            self._session().rollback()  # ends the read
        rejections = [
            _rejections(
                long, "value_too_long", pl.format("{}: the value is longer than the column", "column")
            ),
            _rejections(types, "unknown_tender_type", pl.lit(f"tender type is not in {TYPES}")),
            _rejections(
                accounts, "unknown_account", pl.lit(f"account is not in {ACCOUNTS}, nor an OLD_ACCT_ID")
            ),
        ]
        return pl.concat(rejections).unique("recharge_id", keep="first", maintain_order=True)

    def send(self, receipts: pl.DataFrame) -> SendOutcome:
        """Put whole transmissions into the upload tables, unless they are there: all of them or none.

        Receipts that are there under another transmission (staging was restored from a backup) are
        not sent again; the outcome names where they are.

        Args:
            receipts: those of one transmission or several, by RECEIPT_SCHEMA.

        Raises:
            ReceiptMismatch: CC&B holds one of the receipts, or a transmission, with other content.
            RowError: CC&B refuses a row.
            TransientError: not reachable, and twice so if the connection was lost on the way: what
                was sent, if anything, is found by sending again.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with oracle_errors(self._subject):
                    return self._send(receipts)
            except (DatabaseUnreachable, RowError):
                # lost on the way, or another session was faster: look what is there now
                self.close()
                if attempt == _ATTEMPTS:
                    raise
            except BaseException:
                self.close()
                raise
        raise TransientError(f"{self._subject}: nothing sent", hint="it is sent again")

    def refused(self, receipts: pl.DataFrame) -> pl.DataFrame:
        """Which receipts of a transmission that was refused CC&B refuses: recharge_id, reason_code, reason.

        They are tried in halves and taken back each time: nothing is sent. Empty if no single one is
        refused.

        Args:
            receipts: of one transmission, none of which CC&B holds.

        Raises:
            TransientError: not reachable.
            OperatorError: the upload tables cannot be written at all.
        """
        found: list[tuple[str, str, str]] = []
        halves = [receipts]
        try:
            while halves:
                part = halves.pop()
                error = self._tried(part)
                if error is not None and part.height > 1:
                    halves += [part[part.height // 2 :], part[: part.height // 2]]
                elif error is not None:
                    found.append((part["recharge_id"][0], "refused_by_ccb", f"refused by CC&B: {error}"))
        except BaseException:
            self.close()
            raise
        return pl.DataFrame(found, schema=RECEIPT_REJECTION_SCHEMA, orient="row")

    def _tried(self, receipts: pl.DataFrame) -> RowError | None:
        """Insert receipts and take them back; why a row of them is refused, None if none is."""
        try:
            with oracle_errors(self._subject), self._session().cursor() as cursor:
                self._writing(cursor).trial(cursor, receipts)
        except RowError as exc:
            return exc
        return None

    def close(self) -> None:
        """Close the session; what was not committed is undone. Safe to call twice."""
        connection, self._connection, self._tables, self._call = self._connection, None, None, None
        if connection is not None:
            close(connection)

    def _send(self, receipts: pl.DataFrame) -> SendOutcome:
        connection = self._session()
        with connection.cursor() as cursor:
            tables = self._described(cursor)
            found = locate(cursor, tables, receipts, paid_before=self.paid_before)
            connection.rollback()  # ends the read
            if not found.new.is_empty():
                self._writing(cursor).send(cursor, found.new)
        return SendOutcome(found.new.is_empty(), found.placed, found.tenders)

    def _unknown(
        self,
        cursor: oracledb.Cursor,
        tables: UploadTables,
        receipts: pl.DataFrame,
        name: str,
        places: tuple[tuple[str, str], ...],
    ) -> pl.DataFrame:
        """Receipts whose value is in none of the places; later places are asked for the rest only."""
        left = receipts
        for table, column in places:
            if not left.is_empty():
                described = tables.tables[table][column]
                found = found_among(cursor, tables.owner, table, described, left[name].to_list())
                left = left.filter(~pl.col(name).is_in(list(found)))
        return left

    def _require_source(self, cursor: oracledb.Cursor, tables: UploadTables) -> None:
        column, source = tables.tables[SOURCES]["EXT_SOURCE_ID"], self.upload.external_source
        if not found_among(cursor, tables.owner, SOURCES, column, [source]):
            raise OperatorError(
                f"{SOURCES}: no tender source with external source id {source}",
                hint="create it in CC&B, or set external_source in [payment_upload]",
            )

    def _session(self) -> oracledb.Connection:
        if self._connection is None:
            connection = connect(self.settings, module=f"ccbridge sink {self.system}")
            try:
                if self.admission is not None:
                    self.admission.admit_unmarked(target_identity(self.settings, connection))
            except BaseException:
                close(connection)
                raise
            self._connection = connection
        return self._connection

    def _writing(self, cursor: oracledb.Cursor) -> UploadCall:
        if self._call is None:
            tables = self._described(cursor)
            self._call = UploadCall(tables.owner, tables.tables, self._apply_log)
        return self._call

    def _described(self, cursor: oracledb.Cursor) -> UploadTables:
        if self._tables is None:
            self._tables = UploadTables(cursor, self.settings.owner)
        return self._tables


def _rejections(receipts: pl.DataFrame, code: str, reason: pl.Expr) -> pl.DataFrame:
    return receipts.select("recharge_id", pl.lit(code).alias("reason_code"), reason.alias("reason"))
