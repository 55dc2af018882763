"""A synthetic prepaid-energy application on PostgreSQL."""
