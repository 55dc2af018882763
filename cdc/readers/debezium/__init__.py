"""Any database that Debezium reads, by its own engine inside this process; start at `reader`."""

from cdc.readers.debezium.reader import DebeziumReader

__all__ = ["DebeziumReader"]
