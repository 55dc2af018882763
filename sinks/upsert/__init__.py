"""Compare and set into PostgreSQL: brings target tables to what staging says, and no more.

Start at `sink`; `target_session` opens the target, `table_write` is one table's part, `isolation` finds the
rows that the target rejects, `unique_swaps`, `missing_parents`, `rivals` and `second_try` solve those that
need each other. `kind` is its entry in `cdc.kinds`. Rooms: `statements` has the SQL, `checks` what is looked
at before.
"""
