"""The Oracle reader: LogMiner through the thin driver; `reader` is the entry."""

from cdc.readers.logminer.reader import LogMinerReader

__all__ = ["LogMinerReader"]
