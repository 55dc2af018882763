"""What all commands have in common, those of `cdc.cli` and those of a sink: options, printed results, help.

Knows no command. May use the vocabulary.
"""

__all__ = ["manual", "options", "output", "signals"]
