"""The shared staging schema: what was captured, what it means now, what was delivered.

Start at `cdc.staging.stage` (a batch in) and `cdc.staging.desired` (rows out to a sink);
`cdc.staging.tables` and `docs/staging.md` say what is stored, `cdc.staging.migrate` makes it.
"""
