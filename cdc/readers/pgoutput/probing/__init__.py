"""What the pgoutput reader and the sinks assume of PostgreSQL, and how each assumption is tried.

`assumptions` is the table; `server_checks` ask the server and a session, `decoding_checks` decode the changes
of a test table in a scratch schema; `trial` runs them.
"""
