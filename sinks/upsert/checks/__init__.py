"""What keeps a target from being written, found before it is tried, with the SQL that helps.

Start at `target_checks`. May use: `statements` and the session.
"""

__all__ = ["target_checks"]
