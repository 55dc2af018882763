"""The fixed tables of schema `staging`, as SQLAlchemy metadata.

Alembic (`migrations/`) creates them; a test holds both equal. `fixed_tables` has all of them, those that
sinks own too. Entity tables come from the rule set, see `cdc.staging.schema.entities`. What each table is
for, with example queries: `docs/staging.md`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from cdc.kinds import EXTENSIONS, resolved

SCHEMA = "staging"
NAMING = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
NOW = text("now()")
metadata = MetaData(schema=SCHEMA, naming_convention=NAMING)

_APPEND_ONLY: dict[str, Any] = {
    "postgresql_using": "brin",
    "postgresql_with": {"pages_per_range": 32, "autosummarize": "on"},
}
"""Index of a column that grows as rows are appended: nearly free to write, and it stays small."""

staged_seq_sequence = Sequence("staged_seq", metadata=metadata)
batch_id_sequence = Sequence("batch_id", metadata=metadata)


def column(
    name: str, type_: Any, comment: str, *, null: bool = False, server_default: Any = None
) -> Column[Any]:
    """A column with its comment; not null unless said."""
    return Column(
        name, type_, nullable=null, comment=comment, server_default=server_default, autoincrement=False
    )


def number(name: str, comment: str, type_: Any = BigInteger) -> Column[Any]:
    """A column whose numbers the database gives."""
    return Column(name, type_, Identity(always=True), nullable=False, comment=comment)


def moment(name: str, comment: str, *, null: bool = False, server_default: Any = None) -> Column[Any]:
    """A `timestamptz` column."""
    return column(name, DateTime(timezone=True), comment, null=null, server_default=server_default)


def trailing_columns() -> list[Column[Any]]:
    """What every entity row and every earlier version of it carries, in this order."""
    return [
        column("source_system", Text, "System the values come from, by its configured name"),
        column("source_position", BigInteger, "Position (SCN or LSN) up to which this row is known to hold"),
        column("source_ordinal", BigInteger, "Order among the changes at that position"),
        column("operation", Text, "c create, u update, d delete, r read from a snapshot"),
        moment("committed_at", "When the source committed this version, never before the one it replaced"),
        moment("staged_at", "When this version was staged", server_default=NOW),
        column("rule_set_id", Integer, "Rule set that mapped it, see staging.rule_set", null=True),
        column("staged_seq", BigInteger, "Grows in commit order over all tables; what sinks follow"),
        column("tombstone", Boolean, "True once the row was deleted or left the entity"),
    ]


TRAILING = tuple(one.name for one in trailing_columns())


def history_columns() -> list[Column[Any]]:
    """What an earlier version carries after the columns of its entity row."""
    return [
        column("superseded_seq", BigInteger, "staged_seq of the version that replaced this one"),
        moment("valid_from", "This version held from here, included"),
        moment("valid_to", "and up to here, excluded"),
    ]


change = Table(
    "change",
    metadata,
    column("system", Text, "System the change was read from"),
    column("schema_name", Text, "Schema of the changed table, as the source spells it"),
    column("table_name", Text, "Changed table, as the source spells it"),
    column("operation", Text, "c create, u update, d delete, r read from a snapshot, t truncate"),
    column("key", JSONB, "Key columns and their values after the change (before it for a delete)", null=True),
    column("before", JSONB, "Row before the change; columns the log does not hold are left out", null=True),
    column("after", JSONB, "Row after the change; columns the log does not hold are left out", null=True),
    column("source_position", BigInteger, "Commit position: SCN or LSN"),
    column("source_ordinal", BigInteger, "Order among the changes at that position"),
    column("transaction_id", Text, "The source's own transaction id", null=True),
    moment("committed_at", "When the source committed it"),
    column("batch_id", BigInteger, "Batch that staged it, see staging.batch"),
    moment("staged_at", "When it was staged", server_default=NOW),
    column("source_user", Text, "Database user that made it; null where the log does not tell", null=True),
    column(
        "source_client",
        Text,
        "Client identifier that the application had set; null where there is none or the log does not tell",
        null=True,
    ),
    PrimaryKeyConstraint("source_position", "source_ordinal", "system", "committed_at"),
    Index(None, "batch_id", **_APPEND_ONLY),
    Index(None, "key", postgresql_using="hash"),
    comment="Append-only log of every captured change, raw; one partition a month of committed_at",
    postgresql_partition_by="range (committed_at)",
)

batch = Table(
    "batch",
    metadata,
    column("batch_id", BigInteger, "Number of the batch; grows per system"),
    column("system", Text, "System it was read from"),
    column("reader", Text, "Reader that read it: logminer, pgoutput"),
    column("run_id", Uuid, "The run of ccbridge that staged it"),
    column("from_position", BigInteger, "Position up to which all was staged before", null=True),
    column("to_position", BigInteger, "Position up to which all is staged with it"),
    column("change_count", BigInteger, "Rows it added to staging.change"),
    column("counts", JSONB, "By table: rows logged, suppressed echoes of our own writes"),
    column("rule_set_id", Integer, "Rule set that mapped it"),
    column("rows_digest", LargeBinary, "BLAKE2b of its rows in staging.change"),
    column("previous_digest", LargeBinary, "Digest of the system's batch before it", null=True),
    column("digest", LargeBinary, "BLAKE2b over previous_digest, what this row says, and rows_digest"),
    moment("staged_at", "When it was staged", server_default=NOW),
    PrimaryKeyConstraint("batch_id"),
    Index(None, "system", "batch_id"),
    comment="Each committed batch, chained by digests: a removed or altered change breaks the chain",
)

delivery = Table(
    "delivery",
    metadata,
    number("delivery_id", "Number of the record"),
    column("sink", Text, "Sink that wrote the row"),
    column("target_table", Text, "Table written, with its schema"),
    column("key", JSONB, "Key of the target row"),
    column("decision", Text, "insert, update, delete, deactivate; void if it was never committed"),
    column("before", JSONB, "Target row before, the columns written", null=True),
    column("after", JSONB, "Target row after, the columns written", null=True),
    column("staged_seq", BigInteger, "Staged version that asked for it"),
    column("target_transaction", Text, "Transaction id in the target", null=True),
    moment("recorded_at", "When it was recorded, just before the target's commit", server_default=NOW),
    PrimaryKeyConstraint("delivery_id"),
    CheckConstraint("decision in ('insert', 'update', 'delete', 'deactivate', 'void')", name="decision"),
    Index(None, "staged_seq", "target_transaction", **_APPEND_ONLY),
    Index("ix_delivery_void", "sink", "target_transaction", postgresql_where=text("decision = 'void'")),
    Index(None, "key", postgresql_using="hash"),
    comment="Append-only: each target row written, with what it was before",
)

dead_letter = Table(
    "dead_letter",
    metadata,
    number("dead_letter_id", "Number of the record"),
    column("stage", Text, "map: could not be mapped; deliver: the target refused it"),
    column("system", Text, "Source system (map) or sink (deliver)"),
    column("table_name", Text, "Source table (map) or target table (deliver)"),
    column("rule", Text, "Rule that was at work"),
    column("key", JSONB, "Key of the source row (map) or of the target row (deliver)"),
    column("entity", Text, "Entity whose row waits", null=True),
    column("entity_key", JSONB, "Key of the entity row that waits, if it could be mapped", null=True),
    column("raw", JSONB, "The row that was refused", null=True),
    column("reason_code", Text, "Stable name of the reason"),
    column("reason", Text, "What was found and expected, without the value"),
    column("source_position", BigInteger, "Position of the change refused last", null=True),
    column("source_ordinal", BigInteger, "Its order at that position", null=True),
    moment("first_seen", "When the key was first refused", server_default=NOW),
    moment("last_seen", "When it was last refused", server_default=NOW),
    column("retries", Integer, "How often it was refused again", server_default=text("0")),
    moment("resolved_at", "When it was settled; null while it waits", null=True),
    column("resolution", Text, "superseded, delivered, dropped", null=True),
    PrimaryKeyConstraint("dead_letter_id"),
    CheckConstraint("stage in ('map', 'deliver')", name="stage"),
    Index(
        "uq_dead_letter_open",
        "stage",
        "system",
        "rule",
        "key",
        unique=True,
        postgresql_where=text("resolved_at is null"),
    ),
    comment="Rows set aside with their reason; a row without resolved_at waits",
)

checkpoint = Table(
    "checkpoint",
    metadata,
    column("system", Text, "System that is read"),
    column("reader", Text, "Reader that made the position"),
    column("identity", JSONB, "What the position is bound to: database, log lineage, slot"),
    column("source_position", BigInteger, "All up to here is durably staged"),
    column("source_ordinal", BigInteger, "Order of the last staged change at that position, -1 for none"),
    column("resume", JSONB, "What the reader needs to go on"),
    column("snapshot_complete", Boolean, "True once the first load was done"),
    column("batch_id", BigInteger, "Last batch of that system", null=True),
    moment("updated_at", "When it last moved", server_default=NOW),
    PrimaryKeyConstraint("system"),
    comment="Where each source is read on; moves in the transaction that stages the rows",
)

sink_position = Table(
    "sink_position",
    metadata,
    column("sink", Text, "Sink, as in target_binding"),
    column("delivered_seq", BigInteger, "All staged rows up to this number are taken by the sink"),
    moment("updated_at", "When it last moved", server_default=NOW),
    PrimaryKeyConstraint("sink"),
    comment="How far each sink is whose target cannot hold it",
)

source_table = Table(
    "source_table",
    metadata,
    column("system", Text, "System the table is read from"),
    column("schema_name", Text, "Its schema, as the source spells it"),
    column("table_name", Text, "Its name, as the source spells it"),
    column(
        "state",
        Text,
        "read: its changes are staged; reading: its rows are read beside the stream; "
        "stopped: it is not read any more",
    ),
    column(
        "definition",
        JSONB,
        "What the reader saw of it when its changes were last found good: identity, columns, publication",
        null=True,
    ),
    column("columns", JSONB, "Columns that rules read of it", null=True),
    column("read_position", BigInteger, "Position as of which all its rows were read last", null=True),
    column("error_code", Text, "Code of the error that stopped it", null=True),
    column("reason", Text, "Why it is not read any more", null=True),
    moment("requested_at", "When somebody asked for its rows to be read again", null=True),
    column("requested_by", Text, "Who asked", null=True),
    moment("changed_at", "When this row last changed", server_default=NOW),
    PrimaryKeyConstraint("system", "schema_name", "table_name"),
    CheckConstraint("state in ('read', 'reading', 'stopped')", name="state"),
    comment="Each captured table: whether it was read, what it looked like, and why it is not read any more",
)

digest_definition = Table(
    "digest_definition",
    metadata,
    number("definition_id", "Number of the definition", Integer),
    column("system", Text, "System the table is read from"),
    column("schema_name", Text, "Its schema, as the source spells it"),
    column("table_name", Text, "Its name, as the source spells it"),
    column("identity", Text, "Tells definitions apart: version, algorithm and columns, hashed"),
    column("algorithm", Text, "The hash: md5 or sha256"),
    column("columns", JSONB, "Columns that the digest is of"),
    column("left_out", JSONB, "Large columns that rules read and the digest is not of"),
    moment("defined_at", "When it was first used", server_default=NOW),
    PrimaryKeyConstraint("definition_id"),
    UniqueConstraint("system", "schema_name", "table_name", "identity"),
    comment="What digests of source rows are made of; only those of one definition can be compared",
)

source_row = Table(
    "source_row",
    metadata,
    column("system", Text, "System the row is in"),
    column("schema_name", Text, "Schema of its table, as the source spells it"),
    column("table_name", Text, "Its table, as the source spells it"),
    column("key", Text(collation="C"), "Its key as one text that sorts as the source sorts keys"),
    column("digest", BigInteger, "60 bits of a hash of what rules read of it; null: not known", null=True),
    column("definition_id", Integer, "What the digest is made of, see staging.digest_definition"),
    column("tombstone", Boolean, "It was deleted, while its table is read beside the stream"),
    column("source_position", BigInteger, "Position (SCN or LSN) of its last change"),
    column("source_ordinal", BigInteger, "Order among the changes at that position"),
    column("batch_id", BigInteger, "Batch that brought that change, see staging.batch"),
    column("own_position", BigInteger, "Position of the last change that was our own", null=True),
    PrimaryKeyConstraint(
        "system", "schema_name", "table_name", "key", postgresql_include=["digest", "tombstone"]
    ),
    Index(
        "ix_source_row_tombstone",
        "system",
        "schema_name",
        "table_name",
        postgresql_where=text("tombstone"),
    ),
    comment="Each row that a source has, mapped or not, as of source_row_state; for verification",
)

source_row_state = Table(
    "source_row_state",
    metadata,
    column("system", Text, "System the table is read from"),
    column("schema_name", Text, "Its schema, as the source spells it"),
    column("table_name", Text, "Its name, as the source spells it"),
    column("batch_id", BigInteger, "Its changes up to this batch are in staging.source_row"),
    column("position", BigInteger, "Checkpoint of the source then: staging.source_row is as of here"),
    column("definition_id", Integer, "Definition of its digests, see staging.digest_definition", null=True),
    column("swept_position", BigInteger, "Position of the last snapshot whose missing rows went", null=True),
    moment("refreshed_at", "When it was last brought up to date", server_default=NOW),
    PrimaryKeyConstraint("system", "schema_name", "table_name"),
    comment="How far staging.source_row follows the change log, by table",
)

own_change = Table(
    "own_change",
    metadata,
    number("own_change_id", "Number of the record"),
    column("system", Text, "System that ccbridge wrote to"),
    column("schema_name", Text, "Schema of the table, as the source spells it"),
    column("table_name", Text, "The table, as the source spells it"),
    column("batch_id", BigInteger, "Batch that read them back, see staging.batch"),
    column("definition_identity", Text, "What the digests are made of, see staging.digest_definition"),
    column("keys", ARRAY(Text), "Keys, as in staging.source_row"),
    column("digests", ARRAY(BigInteger), "Digest after each change; null: not known, or the row is gone"),
    column("gone", ARRAY(Boolean), "Whether the row is gone after the change"),
    column("positions", ARRAY(BigInteger), "Position of each change"),
    column("ordinals", ARRAY(BigInteger), "Its order at that position"),
    column("transactions", ARRAY(Text), "The source's own transaction id of each change"),
    moment("noted_at", "When they were read back", server_default=NOW),
    PrimaryKeyConstraint("own_change_id"),
    Index(None, "system", "schema_name", "table_name", "batch_id"),
    comment="Own writes read back, which no change log has, until an hour after staging.source_row has them",
)

resync_run = Table(
    "resync_run",
    metadata,
    number("run_id", "Number of the run"),
    column("command", Text, "Command that made it: verify"),
    column("scope", JSONB, "What it compares: systems, tables, keys"),
    column("rule_set", Text, "Rule set that says which columns are compared, by its digest"),
    column(
        "state",
        Text,
        "running, or was killed; done; interrupted; window ended: the rest is compared by the next one; "
        "failed",
    ),
    moment("started_at", "When it began", server_default=NOW),
    column("started_by", Text, "Database user that began it", server_default=text("session_user")),
    column("host", Text, "Host and process that work at it, or did last"),
    moment("continued_at", "When a later command went on with it", null=True),
    moment("ended_at", "When it ended last", null=True),
    column("error_code", Text, "Code of the error that ended it", null=True),
    column("error_text", Text, "The error in words", null=True),
    PrimaryKeyConstraint("run_id"),
    CheckConstraint("state in ('running', 'done', 'interrupted', 'window ended', 'failed')", name="state"),
    comment="Each comparison of sources with staging, from its start to its end",
)

resync_chunk = Table(
    "resync_chunk",
    metadata,
    column("run_id", BigInteger, "Run, see staging.resync_run"),
    column("system", Text, "System the table is in"),
    column("schema_name", Text, "Its schema, as the source spells it"),
    column("table_name", Text, "Its name, as the source spells it"),
    column("chunk_no", Integer, "Order of the chunks of a table, from 1"),
    column(
        "low",
        Text(collation="C"),
        "First key that belongs to it, as in staging.source_row; null: no bound",
        null=True,
    ),
    column("high", Text(collation="C"), "First key that no longer does; null: no bound", null=True),
    column("position", BigInteger, "Position (SCN or LSN) at which the source was read"),
    column("source_rows", BigInteger, "Rows of the source then"),
    column("staged_rows", BigInteger, "Rows that staging had meanwhile"),
    column(
        "rows_read",
        BigInteger,
        "Rows of the source whose key or values were read, as sums of ranges differed",
    ),
    column("elapsed_ms", BigInteger, "How long adding up and reading took"),
    moment("compared_at", "When all its keys were judged", server_default=NOW),
    PrimaryKeyConstraint("run_id", "system", "schema_name", "table_name", "chunk_no"),
    comment="Each range of keys that a run compared; those of a table that is done cover every key",
)

resync_difference = Table(
    "resync_difference",
    metadata,
    number("difference_id", "Number of the record"),
    column("run_id", BigInteger, "Run, see staging.resync_run"),
    column("system", Text, "System the table is in"),
    column("schema_name", Text, "Its schema, as the source spells it"),
    column("table_name", Text, "Its name, as the source spells it"),
    column("key", JSONB, "Key of the row, source columns"),
    column(
        "class",
        Text,
        "missing in staging; extra in staging; different in columns; postponed: could not be judged",
    ),
    column("columns", ARRAY(Text), "Columns that differ, where both sides are known", null=True),
    column(
        "source",
        JSONB,
        "The row in the source, source columns: those that differ, or all of a missing row",
        null=True,
    ),
    column(
        "staged",
        JSONB,
        "The row as staged: columns that differ, or all that is known of an extra row",
        null=True,
    ),
    column("source_position", BigInteger, "Position at which the source was read"),
    column("staged_position", BigInteger, "Position of the last staged change of the row", null=True),
    column("cause", Text, "Why it differs or was postponed, where that is known", null=True),
    moment("first_seen", "When the key first looked different"),
    moment("judged_at", "When it was judged", server_default=NOW),
    PrimaryKeyConstraint("difference_id"),
    CheckConstraint("class in ('missing', 'extra', 'different', 'postponed')", name="class"),
    Index(None, "run_id"),
    comment="Each row that a run found different, or could not judge",
)

lease = Table(
    "lease",
    metadata,
    column("name", Text, "What is leased: a flow"),
    column("holder", Text, "Process that holds it"),
    column("token", BigInteger, "Fencing token; grows with each new holder"),
    moment("acquired_at", "When the holder got it"),
    moment("renewed_at", "When the holder last renewed it"),
    moment("expires_at", "When another process may take it over, by this database's clock"),
    column("version", Text, "Release of ccbridge that the holder runs", null=True),
    column("rule_set", Text, "Rule set that the holder runs, by its digest", null=True),
    PrimaryKeyConstraint("name"),
    comment="Who is active; a process without the current token can write nothing",
)

installation = Table(
    "installation",
    metadata,
    column(
        "installation_id", Uuid, "Tells this staging from others", server_default=text("gen_random_uuid()")
    ),
    moment("made_at", "When ccbridge migrate made it", server_default=NOW),
    PrimaryKeyConstraint("installation_id"),
    comment="One row: the identity of this staging database, which its targets carry too",
)

target_binding = Table(
    "target_binding",
    metadata,
    column("sink", Text, "Sink that writes the target"),
    column("system", Text, "System it writes"),
    column("identity", JSONB, "What tells the target from others; nothing else is ever written"),
    column("writes", BigInteger, "Writes with deliveries, the one under way included; the target counts too"),
    column("delivered_seq", BigInteger, "All staged rows up to this number are delivered, or more"),
    column(
        "seen_at",
        DateTime,
        "What the target had of us up to this time of its own clock was compared with staging",
        null=True,
    ),
    moment("bound_at", "When the target was bound", server_default=NOW),
    column("bound_by", Text, "Who bound it", server_default=text("session_user")),
    column("reason", Text, "Why"),
    moment("updated_at", "When writes or delivered_seq last moved", server_default=NOW),
    PrimaryKeyConstraint("sink"),
    comment="Which database each sink writes, and how far it has; compared with the target before a write",
)

staged_order = Table(
    "staged_order",
    metadata,
    comment="Always empty. Locked by who takes numbers of staged_seq, until the transaction ends",
)

migration = Table("migration", metadata, comment="Always empty. Locked by ccbridge migrate: one at a time")

rule_set = Table(
    "rule_set",
    metadata,
    number("rule_set_id", "Number of the rule set", Integer),
    column("digest", Text, "SHA-256 over all its files"),
    column("name", Text, "Name of the rule set"),
    column("files", JSONB, "File name to text: the rules as they were"),
    moment("loaded_at", "When it was first used", server_default=NOW),
    PrimaryKeyConstraint("rule_set_id"),
    UniqueConstraint("digest"),
    comment="Every rule set ever used, in full",
)

operator_action = Table(
    "operator_action",
    metadata,
    number("action_id", "Number of the action"),
    moment("at", "When it was done", server_default=NOW),
    column("who", Text, "Person or service account"),
    column("action", Text, "What was done, for example migrate"),
    column("object", Text, "To what", null=True),
    column("detail", JSONB, "Arguments and outcome", null=True),
    PrimaryKeyConstraint("action_id"),
    comment="Append-only: what people did with ccbridge",
)

flow_state = Table(
    "flow_state",
    metadata,
    column("flow", Text, "Name of the flow"),
    column("status", Text, "starting, snapshot, running, retrying, waiting, stopped, failed"),
    column("position", BigInteger, "Source position it has reached", null=True),
    column("staged_seq", BigInteger, "Staged version it has reached", null=True),
    column("rows", BigInteger, "Rows since the process started", server_default=text("0")),
    column("held", BigInteger, "Keys set aside and tried again", server_default=text("0")),
    column("detail", Text, "What it is doing, for example the table being read", null=True),
    column("error_code", Text, "Code of the error it met, null while it runs", null=True),
    column("error_text", Text, "The error in words", null=True),
    column("hint", Text, "What to do about it", null=True),
    column("run_id", Uuid, "The run of ccbridge that reports", null=True),
    moment("reported_at", "When it last reported", server_default=NOW),
    moment(
        "current_to",
        "All that the source had committed by then is staged: now while nothing is left to read",
        null=True,
    ),
    moment("changed_at", "When the source committed the newest change that was read", null=True),
    moment("status_since", "Since when it has this status", null=True),
    PrimaryKeyConstraint("flow"),
    comment="What each flow said last, for ccbridge status; no part of the record",
)


@cache
def fixed_tables() -> MetaData:
    """The tables above, and those that sinks keep in staging."""
    for add_tables in resolved(one.tables for one in EXTENSIONS.values()):
        add_tables(metadata)
    return metadata
