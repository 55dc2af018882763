"""Alembic migrations of the fixed staging tables."""
