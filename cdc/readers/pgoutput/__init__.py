"""PostgreSQL through its logical replication stream (plugin pgoutput); start at `reader`."""

from cdc.readers.pgoutput.reader import PgoutputReader

__all__ = ["PgoutputReader"]
