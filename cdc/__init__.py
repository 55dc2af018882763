"""ccbridge: change data capture between Oracle and PostgreSQL systems, by rules.

Start at `cdc.cli` for commands, `cdc.flows` for how the parts meet, `cdc.changes` for the vocabulary.
"""

__version__ = "0.1.0"
