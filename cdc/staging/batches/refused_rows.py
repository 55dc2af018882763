"""Changes that staging itself rejects: found by bisecting, recorded as dead letters, left out from then on.

No rule can know every limit of the database (a document too large for jsonb, a number that a merge cannot
hold). When a batch fails for such a reason, its changes are tried in halves, each try rolled back. What
fails alone becomes a dead letter with reason `refused_by_staging`; the source is then read again from its
checkpoint, and the record says what to leave out. The next change of the row settles it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import polars as pl
import psycopg

from cdc.changes import Operation, TableChanges, TableName
from cdc.postgres.connect import Connection
from cdc.postgres.errors import LOCK_NOT_AVAILABLE, is_environment
from cdc.staging.audit.change_log import change_rows
from cdc.staging.dead_letters import DEAD_LETTER_SCHEMA

Place = tuple[int, int]
"""Position and ordinal of a change."""

REASON_CODE = "refused_by_staging"
_MANY = 20
"""So many changes rejected and none accepted: the changes are not the cause."""
_MOST_TRIES = 300
_MAX_RAW_BYTES = 1_000_000
_OPEN = """
select source_position, source_ordinal, table_name, key from staging.dead_letter
where resolved_at is null and stage = 'map' and system = %s and reason_code = %s
"""


@dataclass(frozen=True)
class RefusedRows:
    """Changes of one source that are left out.

    Args:
        places: where they are in the stream.
        keys: their tables and keys, by which a snapshot brings them again.
    """

    places: frozenset[Place] = frozenset()
    keys: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def load(cls, connection: Connection, system: str) -> RefusedRows:
        """Those with an open record."""
        rows = connection.execute(_OPEN, [system, REASON_CODE]).fetchall()
        return cls(
            frozenset((int(str(position)), int(str(ordinal))) for position, ordinal, *_ in rows),
            frozenset((str(table), json.dumps(key, sort_keys=True)) for *_, table, key in rows),
        )

    def without(self, tables: Mapping[TableName, TableChanges]) -> Mapping[TableName, TableChanges]:
        """The changes but those."""
        if not self.places:
            return tables
        kept = {name: self._kept(changes) for name, changes in tables.items()}
        return {name: changes for name, changes in kept.items() if len(changes)}

    def _kept(self, changes: TableChanges) -> TableChanges:
        frame = changes.frame
        leave_out = pl.Series([place in self.places for place in places_of(changes)], dtype=pl.Boolean)
        if (frame["operation"] == Operation.READ).any():
            keys = change_rows("", changes, batch_id=0)["key"]
            table = str(changes.table.name)
            known = [
                (table, json.dumps(json.loads(key or "{}"), sort_keys=True)) in self.keys for key in keys
            ]
            leave_out |= pl.Series(known, dtype=pl.Boolean) & (frame["operation"] == Operation.READ)
        return replace(changes, frame=frame.filter(~leave_out))


def may_concern_a_change(exc: psycopg.Error) -> bool:
    """True unless the error is about server, session, locks, or names and rights (class 42).

    Staging's tables are our own and have no triggers, so a name that is missing is missing for any row.
    """
    return not is_environment(exc) and exc.sqlstate != LOCK_NOT_AVAILABLE and (exc.sqlstate or "")[:2] != "42"


def places_of(changes: TableChanges) -> list[Place]:
    """Position and ordinal of each change."""
    return list(changes.frame.select("position", "ordinal").iter_rows())


def only(tables: Mapping[TableName, TableChanges], places: frozenset[Place]) -> dict[TableName, TableChanges]:
    """The changes at these places."""
    found = {}
    for name, changes in tables.items():
        chosen = pl.Series([place in places for place in places_of(changes)], dtype=pl.Boolean)
        if chosen.any():
            found[name] = replace(changes, frame=changes.frame.filter(chosen))
    return found


def find(
    places: list[Place], attempt: Callable[[frozenset[Place]], psycopg.Error | None]
) -> dict[Place, psycopg.Error]:
    """The changes that are rejected alone, and why; none if the changes are not the cause.

    Args:
        places: of changes of which at least one was refused.
        attempt: tries to stage some of them and undoes it; returns what refused them, None if taken.
    """
    found: dict[Place, psycopg.Error] = {}
    taken = tries = 0
    ranges = [places] if places else []
    while ranges:
        part = ranges.pop()
        tries += 1
        error = attempt(frozenset(part))
        if error is None:
            taken += len(part)
        elif len(part) > 1:
            ranges += [part[len(part) // 2 :], part[: len(part) // 2]]
        else:
            found[part[0]] = error
        if tries > _MOST_TRIES or (len(found) > _MANY and not taken):
            return {}
    return found


def letters(
    system: str,
    tables: Mapping[TableName, TableChanges],
    refused: Mapping[Place, psycopg.Error],
    rules: Mapping[TableName, list[str]],
) -> pl.DataFrame:
    """The dead letters of rejected changes (`cdc.staging.dead_letters.DEAD_LETTER_SCHEMA`)."""
    frames = [pl.DataFrame(schema=DEAD_LETTER_SCHEMA)]
    for name, changes in only(tables, frozenset(refused)).items():
        rows = change_rows(system, changes, batch_id=0)
        image = pl.coalesce("after", "before")
        states = [refused[place].sqlstate or "" for place in places_of(changes)]
        for rule in rules.get(name, []):
            given = {
                "stage": pl.lit("map"),
                "system": pl.lit(system),
                "table_name": pl.lit(str(name)),
                "rule": pl.lit(rule),
                "key": pl.col("key").fill_null("{}"),
                "raw": pl.when(image.str.len_bytes() <= _MAX_RAW_BYTES).then(image),
                "reason_code": pl.lit(REASON_CODE),
                "reason": pl.format(f"{name}: staging refuses the row, SQLSTATE {{}}", pl.Series(states)),
                "source_position": pl.col("source_position"),
                "source_ordinal": pl.col("source_ordinal"),
            }
            frames.append(
                rows.select(
                    given.get(column, pl.lit(None)).cast(kind).alias(column)
                    for column, kind in DEAD_LETTER_SCHEMA.items()
                )
            )
    return pl.concat(frames)
