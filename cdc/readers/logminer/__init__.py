"""Reads an Oracle database through LogMiner."""
