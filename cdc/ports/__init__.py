"""What a flow needs from the outside world.

`cdc.readers` implement `ChangeReader` and `TableReader`, `sinks` implement `Sink`; `cdc.flows` knows nothing
else of them.
"""

from cdc.ports.extensions import OracleStatements, Problem, StatusPart
from cdc.ports.readers import (
    ChangeReader,
    ColumnsRead,
    Finding,
    ReaderOpening,
    RereadValues,
    Resume,
    SourceKey,
    StopAsked,
)
from cdc.ports.sinks import (
    DELIVERY_SCHEMA,
    LOCKED,
    NEVER_S,
    REJECTION_SCHEMA,
    Admission,
    Desired,
    Live,
    Polled,
    Record,
    Sink,
    SinkKind,
    SinkOpening,
    Store,
    Written,
)
from cdc.ports.table_readers import RANGE_SCHEMA, KeyRange, TableLook, TableReader

__all__ = [
    "DELIVERY_SCHEMA",
    "LOCKED",
    "NEVER_S",
    "RANGE_SCHEMA",
    "REJECTION_SCHEMA",
    "Admission",
    "ChangeReader",
    "ColumnsRead",
    "Desired",
    "Finding",
    "KeyRange",
    "Live",
    "OracleStatements",
    "Polled",
    "Problem",
    "ReaderOpening",
    "Record",
    "RereadValues",
    "Resume",
    "Sink",
    "SinkKind",
    "SinkOpening",
    "SourceKey",
    "StatusPart",
    "StopAsked",
    "Store",
    "TableLook",
    "TableReader",
    "Written",
]
