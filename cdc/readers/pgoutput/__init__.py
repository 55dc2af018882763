"""Reads a PostgreSQL database through logical replication."""
