"""Recharges into CC&B through its documented payment upload staging, each at most once.

Start at `sink`: a write makes receipts in staging (`receipts`), a poll sends them to CC&B (`ccb`). `known`
compares both sides before anything is sent. What a restored CC&B lost is decided on in `lost_receipts`, by
`command`. `kind` is its entry in `cdc.kinds`; `section`, `rules` and `status` are what it registers there.
"""
