"""One module a revision, in order; released ones are never edited."""
