"""Large values: the redo has them in pieces, or not at all; then they are selected again.

Start at `large_rows`; `large_values` keeps what is known of each column, `reselect` asks the database. May
use: `tables`, `transactions`, `mining`, `redo_sql`.
"""

__all__ = ["large_rows", "large_values", "reselect"]
