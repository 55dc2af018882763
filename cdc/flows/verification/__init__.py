"""Comparing a source with staging while replication continues: `ccbridge verify`.

`judging` decides, pure, what a key that looks different is: equal, different, or to be looked at again.
`ranges` finds such keys with sums of ranges; `tables` compares one table, chunk after chunk; `run` does it
for all that was asked for and keeps the record.
"""
