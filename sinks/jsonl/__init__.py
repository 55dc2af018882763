"""Desired rows as lines of JSON in files of a directory, for whatever reads files.

Start at `sink`; `folder` is the directory: rows, position, and what makes both one transaction; `section` is
its part of the configuration, `kind` its entry in `cdc.kinds`. What a line looks like: `docs/jsonl.md`.
"""
