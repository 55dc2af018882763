"""Tests of cdc.cli: no database, no process."""
