"""The `ccbridge` command: one module a verb; parse, call one function, print, exit."""
