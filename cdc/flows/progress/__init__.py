"""What the flows of this process do, and how far behind they are.

`state` is in memory, `publishing` writes it to staging, `report` logs it, `lag` computes it.
"""

__all__ = ["lag", "publishing", "report", "state"]
