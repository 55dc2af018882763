"""What there is and who is connected: users, objects, containers, instances, the session.

Start at `context`: `Session` and `Instance` say what statements, expressions and views use of the two. Uses
`store`.
"""

__all__ = ["catalog", "containers", "context", "instances", "mining_run", "nls", "users", "views"]
