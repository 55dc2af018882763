"""Tests of benchmarks: no database."""
