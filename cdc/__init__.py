"""ccbridge: change data capture between Oracle Utilities CC&B and a prepaid application.

Start at `cdc.cli` for commands, `cdc.flows` for how the parts meet, `cdc.changes` for the vocabulary.
"""

__version__ = "0.1.0"
