"""Whole transmissions put into CC&B's upload tables in one call, COMMIT included.

The call is a PL/SQL block that takes the rows as arrays. A process that is frozen or loses its power leaves
no open transaction behind: until the call has arrived nothing is locked, and what Oracle has begun it ends,
by the COMMIT or, after any error, by the ROLLBACK in the block. Which receipts are sent is decided before;
the block only makes sure that none of them came in meanwhile.

Source: PL/SQL Language Reference 19c, "FORALL Statement", "Exception Propagation"; PL/SQL User's Guide,
"PL/SQL Tables": host arrays are bound to tables that are formal parameters of a subprogram;
python-oracledb, `Cursor.arrayvar`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import oracledb
import polars as pl

from cdc.oracle.apply_log import ApplyLog
from sinks.ccb_payment_upload.ccb import ouaf
from sinks.ccb_payment_upload.ccb.ouaf import Table
from sinks.ccb_payment_upload.ccb.tables import CONTROL, CONTROL_STATUS, DEPOSIT, TENDER, control_status

_CONTROL_PENDING, _TENDER_PENDING = "20", "10"  # as Oracle's page says to load them
_FIRST_VERSION = 1
_HELD = -20001
"""Raised when CC&B holds one of the receipts already: a row's error, as all of an application's are."""
_TEXT_BYTES = 4000


@dataclass(frozen=True)
class _Array:
    """A parameter of the block: a column of a frame, as one Oracle type."""

    frame: str
    column: str
    type: str

    @property
    def name(self) -> str:
        """Not a column of CC&B: inside a statement a column would be taken for it."""
        return f"{self.frame}_{self.column}"

    @property
    def db_type(self) -> oracledb.DbType:
        return {
            "texts": oracledb.DB_TYPE_VARCHAR,
            "numbers": oracledb.DB_TYPE_NUMBER,
            "dates": oracledb.DB_TYPE_DATE,
        }[self.type]


@dataclass(frozen=True)
class _Write:
    """How rows of a table are made of a frame.

    `given` names the frame's column by the table's, `same` has values that all rows share, `literals` are
    expressions.
    """

    frame: str
    given: Mapping[str, str]
    same: Mapping[str, str | int]
    literals: Mapping[str, str] = field(default_factory=dict)


_PLACE = {"EXT_SOURCE_ID": "external_source", "EXT_TRANSMIT_ID": "transmission_id"}
_BATCH = _PLACE | {"EXT_BATCH_ID": "batch_id"}
_BATCHES, _RECEIPTS = "batch", "receipt"
_WRITES = {
    DEPOSIT: _Write(
        _BATCHES,
        _PLACE | {"CURRENCY_CD": "currency", "TOT_TNDR_CTL_AMT": "total"},
        {"VERSION": _FIRST_VERSION, "DEP_CTL_STG_ST_FLG": _CONTROL_PENDING, "TOT_TNDR_CTL_CNT": 1},
        {"TRANSMIT_DTTM": "SYSDATE"},
    ),
    CONTROL: _Write(
        _BATCHES,
        _BATCH | {"TOT_TNDR_AMT": "total", "TOT_TNDR_CNT": "tenders"},
        {"VERSION": _FIRST_VERSION, CONTROL_STATUS[0]: _CONTROL_PENDING},
    ),
    TENDER: _Write(
        _RECEIPTS,
        _BATCH
        | {
            "EXT_REFERENCE_ID": "recharge_id",
            "TENDER_AMT": "amount",
            "ACCOUNTING_DT": "accounting_date",
            "TENDER_TYPE_CD": "tender_type",
            "CUST_ID": "account_id",
        },
        {"VERSION": _FIRST_VERSION, "PAY_TND_STG_ST_FLG": _TENDER_PENDING},
    ),
}
_NOT_TEXT = {"total": "numbers", "tenders": "numbers", "amount": "numbers", "accounting_date": "dates"}


def _arrays() -> dict[tuple[str, str], tuple[_Array, str, str]]:
    """Arrays by frame and column, each with a table and a column that it fills."""
    return {
        (write.frame, name): (_Array(write.frame, name, _NOT_TEXT.get(name, "texts")), table, column)
        for table, write in _WRITES.items()
        for column, name in write.given.items()
    }


_ARRAYS = _arrays()


class UploadCall:
    """The call for the tables of one site.

    Args:
        owner: schema owner of CC&B.
        tables: columns of its upload tables, by table and name.
        log: the apply log that is written too, if there is one.

    Raises:
        OperatorError: a NOT NULL column is left for which no value is known.
    """

    def __init__(self, owner: str, tables: Mapping[str, Table], log: ApplyLog | None) -> None:
        self._owner, self._tables, self._log = owner, tables, log
        self._sent, self._tried = self._block("commit"), self._block("rollback")

    def statements(self) -> tuple[str, ...]:
        """Everything that is sent."""
        return self._sent, self._tried

    def send(self, cursor: oracledb.Cursor, receipts: pl.DataFrame) -> None:
        """Insert whole transmissions and commit: all of them or none.

        Args:
            cursor: in a session without an open transaction.
            receipts: of transmissions of one batch and currency each, at least one.

        Raises:
            oracledb.Error: nothing is there, unless the connection was lost.
        """
        cursor.execute(self._sent, list(self._bound(cursor, receipts)))

    def trial(self, cursor: oracledb.Cursor, receipts: pl.DataFrame) -> None:
        """The same, taken back at the end of the call."""
        cursor.execute(self._tried, list(self._bound(cursor, receipts)))

    def _bound(self, cursor: oracledb.Cursor, receipts: pl.DataFrame) -> Iterator[oracledb.Var]:
        batches = receipts.group_by("transmission_id", "batch_id", maintain_order=True).agg(
            pl.col("currency", "external_source").first(), total=pl.col("amount").sum(), tenders=pl.len()
        )
        frames = {_BATCHES: batches, _RECEIPTS: receipts}
        for array, table, column in _ARRAYS.values():
            described = self._tables[table][column]
            values = [described.stored(value) for value in frames[array.frame][array.column].to_list()]
            # few capacities, so that the server compiles few blocks
            bound = cursor.arrayvar(array.db_type, 10 ** len(str(len(values))), described.length)
            bound.setvalue(0, values)
            yield bound

    def _block(self, end: str) -> str:
        parameters = ", ".join(f"{array.name} {array.type}" for array, _, _ in _ARRAYS.values())
        binds = ", ".join(f":{number}" for number in range(1, len(_ARRAYS) + 1))
        name = _element(_BATCHES, "transmission_id")
        marks = f"\n    {_for_all(_BATCHES)} {self._log.insert_of(name)};" if self._log else ""
        return f"""declare
  type texts is table of varchar2({_TEXT_BYTES}) index by binary_integer;
  type numbers is table of number index by binary_integer;
  type dates is table of date index by binary_integer;
  procedure transmit({parameters}) is
  begin{marks}
    {self._inserted(DEPOSIT)};
    {self._inserted(CONTROL)};
    {self._inserted(TENDER)};
    if sql%rowcount <> receipt_recharge_id.count then
      raise_application_error({_HELD}, 'ccbridge: a receipt of the transmission is there already');
    end if;
    {end};
  exception
    when others then
      rollback;
      raise;
  end;
begin
  transmit({binds});
end;"""

    def _inserted(self, name: str) -> str:
        """FORALL with the insert into a table, of every column that needs a value."""
        write, table = _WRITES[name], self._tables[name]
        status = control_status(self._tables[CONTROL])
        same = {status if key == CONTROL_STATUS[0] else key: value for key, value in write.same.items()}
        values = {column: _element(write.frame, source) for column, source in write.given.items()}
        values |= {column: _literal(value) for column, value in same.items()}
        values.update(write.literals)
        for column in ouaf.left_to_fill(table, values):
            values[column.name] = _literal(column.blank)
        insert = f"insert into {self._owner}.{name} ({', '.join(values)})"
        made = ", ".join(values.values())
        if name != TENDER:
            return f"{_for_all(write.frame)} {insert} values ({made})"
        held = " and ".join(
            f"{column} = {table[column].comparable(_element(write.frame, write.given[column]))}"
            for column in ("EXT_SOURCE_ID", "EXT_REFERENCE_ID")
        )
        there = f"not exists (select null from {self._owner}.{name} where {held})"  # noqa: S608 - our own names
        return f"{_for_all(write.frame)} {insert} select {made} from dual where {there}"  # noqa: S608


def _for_all(frame: str) -> str:
    counted = {_BATCHES: "transmission_id", _RECEIPTS: "recharge_id"}[frame]
    return f"forall i in 1 .. {frame}_{counted}.count"


def _element(frame: str, column: str) -> str:
    return f"{_ARRAYS[frame, column][0].name}(i)"


def _literal(value: str | int) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)
