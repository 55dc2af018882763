"""A synthetic prepaid-energy application on PostgreSQL: its schema, roles and rights."""
