"""Records of Debezium to batches: schemas, images, values, transactions.

Start at `batches`. May use: `engine`, for what the connector was told.
"""

__all__ = ["batches", "cells", "postgres_types", "schemas", "transactions"]
