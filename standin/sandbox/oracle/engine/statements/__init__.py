"""What statements other than queries and DML do: commands, DDL, rights, packages and PL/SQL blocks.

Start at `commands`, or at `plsql` for blocks. Uses `dictionary` and all below it.
"""

__all__ = ["commands", "fault_calls", "plsql"]
