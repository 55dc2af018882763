"""Readers of committed changes, one package per kind of source; the port is `cdc.ports.ChangeReader`."""
