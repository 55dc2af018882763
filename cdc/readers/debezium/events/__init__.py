"""Records of Debezium to batches: schemas, images, values, transactions.

Start at `batches`. May use: `engine`, for the settings of the connector.
"""

__all__ = ["batches", "cells", "postgres_types", "schemas", "transactions"]
