"""Redo as LogMiner shows it: which logs a run needs, and the rows of V$LOGMNR_CONTENTS.

Start at `mining` (a session's run), then `contents` (the view) and `log_rows` (a record to rows);
`redo_text` writes SQL_REDO. Uses `plan` for the columns that are asked for.
"""

__all__ = ["contents", "mining", "redo_text"]
