"""The rows of the sources as staging knows them, each with a digest: `staging.source_row`.

`refresh` brings them up to date with the change log, before a comparison; `ranges` adds them up and lists
them by key, `compared` is what judging single keys asks. `own_changes` notes, while a batch is staged, what
the change log does not have. May use: `schema`, and the change log by SQL.
"""

__all__ = ["compared", "own_changes", "ranges", "refresh"]
