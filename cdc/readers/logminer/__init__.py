"""LogMiner: committed changes of an Oracle database, from its redo logs.

Start at `reader` (the port), then `stream` (the loop), `batch_cutter` (cutting batches) and `batches` (rows
to columns). Rooms, lowest first: `redo_sql` reads texts, `mining` runs LogMiner, `transactions` puts rows
together until their COMMIT, `tables` knows what is captured, `lobs` completes large values, `checks` looks
before reading, `probing` tries a real database.
"""

from cdc.readers.logminer.reader import LogMinerReader

__all__ = ["LogMinerReader"]
