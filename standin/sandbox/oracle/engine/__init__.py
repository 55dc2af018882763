"""A purpose-built store that answers Oracle SQL, keeps a redo journal, and lets it be mined.

It is no database: one process, memory only, one lock around the storage. What it takes care of is what
a change capture product meets: read consistency by SCN, row locks, CHAR and NULL rules, exact NUMBER,
supplemental logging, V$LOGMNR_CONTENTS rows true to form.

The way of a statement: `session` -> `tokens`, `read_statement` (text to `syntax`) -> `query`, `dml`, `ddl`
(syntax to a plan) -> `store`, `transactions`, `journal`. Read `database` first.
"""
