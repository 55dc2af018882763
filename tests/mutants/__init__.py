"""Guards of the product taken out one at a time, to see whether a test misses them: `make mutants`."""
