"""The staging schema: what was read, what is current, what went out.

Start at `batches.stage`: one batch in one transaction. Rooms: `schema` makes the tables, `entity_rows`
merges versions, `audit` keeps the change log and its chain, `batches` takes batches in. A module
beside them stands for one table or one question.
"""

__all__ = [
    "bindings",
    "checkpoints",
    "dead_letters",
    "deliveries",
    "desired",
    "flow_states",
    "leases",
    "overview",
    "resync_runs",
    "sink_positions",
    "source_tables",
    "staged_seq",
]
