"""TRUNCATE of a captured table stops its capture: no row says what went, and a person may not want it.

What was committed before it is still staged. The checkpoint stays before it, so the flow stops there
again until an operator has decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from cdc.changes import ChangeBatch, Operation
from cdc.errors import TableTruncated


def until_truncate(batches: Iterable[ChangeBatch], resume: Mapping[str, Any]) -> Iterator[ChangeBatch]:
    """Pass batches on up to the first TRUNCATE.

    Args:
        batches: what a reader yields.
        resume: where the reader started; the batch before a TRUNCATE goes on from the one before it.

    Raises:
        TableTruncated: naming the tables that the transaction emptied; nothing of it was yielded,
            but slices of it may have been.
    """
    slicing = False
    for batch in batches:
        emptied = _emptied(batch)
        if not emptied:
            yield batch
            slicing = batch.continues
            resume = resume if slicing else batch.resume
            continue
        position = type(batch.position)(min(emptied.values()))
        earlier = {
            name: replace(changes, frame=frame)
            for name, changes in batch.tables.items()
            if (frame := changes.frame.filter(pl.col("position") < int(position))).height
        }
        if earlier and not slicing:
            yield replace(
                batch, position=type(batch.position)(position - 1), tables=earlier, resume=resume,
                continues=False, suppressed={},
            )  # fmt: skip
        first = sorted(name for name, at in emptied.items() if at == position)
        raise TableTruncated(batch.system, first, at=position)


def _emptied(batch: ChangeBatch) -> dict[str, int]:
    """Tables that the batch says were truncated, each with the first position of it."""
    found = {}
    for name, changes in batch.tables.items():
        at = changes.frame["position"].filter(changes.frame["operation"] == Operation.TRUNCATE.value)
        if len(at):
            found[str(name)] = int(str(at.min()))
    return found
