"""The embedded Debezium engine: its Java machine, class path, settings and ends.

Start at `runner`; `connector` has the settings every connector shares, `jars` the class path, `wallet` TLS
for Oracle. May use: the vocabulary only.
"""

__all__ = ["connector", "failures", "jvm", "runner", "wallet"]
