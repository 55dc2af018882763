"""Which tables are captured, and what became of their definitions.

Start at `captured`; `catalog` asks PostgreSQL, `definitions` compares with what rows of then had. May use:
`wire`.
"""

__all__ = ["captured", "catalog"]
