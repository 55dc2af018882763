"""The change log and the chain of digests over it.

`change_log` writes what was read, `audit_chain` makes each batch cover the one before it.
"""

__all__ = ["audit_chain", "change_log"]
