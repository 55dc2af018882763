"""Stand-ins and synthetic systems for the demo, the tests and the benchmarks."""
