"""A purpose-built store that answers Oracle SQL, keeps a redo journal, and lets it be mined.

It is no database: one process, memory only, one lock around the storage. What it takes care of is what
a change capture product meets: read consistency by SCN, row locks, CHAR and NULL rules, exact NUMBER,
supplemental logging, V$LOGMNR_CONTENTS rows true to form.

Read `database` and `session` first. The way of a statement goes down through the rooms: `statements` for
commands and blocks, `plan` for queries and DML, both of which have `sql` read the text; `functions` compiles
expressions, `state` knows users and objects, `store` holds rows and redo. `dictionary` and `logminer` are
read like tables.
"""
