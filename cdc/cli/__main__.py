"""`python -m cdc.cli` is `ccbridge`."""

from cdc.cli.main import main

main()
