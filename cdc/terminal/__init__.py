"""What the commands of `cdc.cli`, and those that a sink brings, have in common: options, printed results, help.

Knows no command. May use the vocabulary.
"""

__all__ = ["manual", "options", "output"]
