"""One run of LogMiner: which logs, which window of SCNs, which rows.

Start at `session`; `rows` has the row of V$LOGMNR_CONTENTS, `logs` and `thread_logs` prove that no redo is
missing, `window` sizes what one run reads. May use: `cdc.oracle` and the vocabulary.
"""

__all__ = [
    "available_logs",
    "containers",
    "contents",
    "host_time",
    "idle_threads",
    "instances",
    "nudges",
    "probe",
    "rows",
    "session",
    "unseen_rows",
    "window",
]
