"""LogMiner: committed changes of an Oracle database, from its redo logs.

Start at `reader` (the port), then `streaming` (the loop, and rows to batches of columns). Rooms, lowest
first: `redo_sql` reads texts, `ddl` those that define tables, `mining` runs LogMiner, `transactions` puts
rows together until their COMMIT, `tables` knows what is captured, `lobs` completes large values, `flashback`
reads tables as of an SCN, `checks` looks before reading, `probing` tries a real database.
"""

from cdc.readers.logminer.reader import LogMinerReader

__all__ = ["LogMinerReader"]
