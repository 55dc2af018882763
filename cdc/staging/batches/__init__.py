"""A batch on its way in: what is new of it, what it does not hold, what staging refuses.

Start at `stage`; `open_batch` is the transaction, `replay_filter` drops what is known, `mapper` maps, and
`absent`, `lineage` and `reread` find values that the log left out, `refused_rows` isolates single rows. May
use every other room of staging.
"""

__all__ = ["stage"]
