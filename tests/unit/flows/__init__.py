"""Tests of cdc.flows: no database."""
