"""What keeps an Oracle database from being captured, found before anything is read.

Start at `preflight`; `grants` prints the rights. May use: every other room of the reader.
"""

__all__ = ["grants", "mining_checks", "preflight", "table_checks"]
