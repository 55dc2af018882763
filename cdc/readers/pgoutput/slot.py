"""The replication slot: what keeps the WAL that we have not staged yet.

A slot can be dropped, invalidated or created again without our knowledge, and the server then answers as if
nothing had happened: it starts where the slot is. `check_slot` therefore compares the slot with the
saved LSN before each start; nothing is ever resumed by guess.

Source: PostgreSQL 17 documentation, view pg_replication_slots.
"""

from __future__ import annotations

from dataclasses import dataclass

from cdc.config import PostgresSystem
from cdc.errors import OperatorError, SlotMissing, SourceChanged, TransientError, snapshot_hint
from cdc.positions import Lsn
from cdc.readers.pgoutput.tables.catalog import Catalog

_SLOT = """
-- to_jsonb: which columns there are depends on the server's version
select to_jsonb(s) as slot, a.application_name
from pg_replication_slots s left join pg_stat_activity a on a.pid = s.active_pid
where s.slot_name = %(slot)s
"""


@dataclass(frozen=True)
class Slot:
    """A replication slot; `lost` says why it can no longer be read, empty if it can."""

    name: str
    plugin: str | None
    database: str | None
    holder: str | None
    restart: Lsn | None
    confirmed: Lsn | None
    lost: str


def find_slot(catalog: Catalog, name: str) -> Slot | None:
    """The slot of that name, or None."""
    rows = catalog.query(_SLOT, slot=name)
    if not rows:
        return None
    slot = rows[0]["slot"]
    reasons = [
        f"wal_status {slot['wal_status']}" if slot.get("wal_status") == "lost" else "",
        str(slot.get("invalidation_reason") or ""),
        "conflicting with recovery" if slot.get("conflicting") else "",
    ]
    holder = None
    if slot["active_pid"] is not None:
        holder = f"process {slot['active_pid']} ({rows[0]['application_name'] or 'unknown'})"
    return Slot(
        name,
        slot["plugin"],
        slot["database"],
        holder,
        _lsn(slot["restart_lsn"]),
        _lsn(slot["confirmed_flush_lsn"]),
        next(filter(None, reasons), ""),
    )


def check_slot(catalog: Catalog, settings: PostgresSystem, system: str, resume: Lsn, wal_end: Lsn) -> Slot:
    """Make sure that the slot still holds everything later than `resume`.

    Args:
        catalog: the source's catalog.
        settings: the system.
        system: its name, for messages.
        resume: LSN from which everything must come.
        wal_end: where the server's WAL ends now.

    Raises:
        SlotMissing: no such slot, it was invalidated, or it stands later than `resume`.
        SourceChanged: the server's WAL ends before `resume`: it was set back in time.
    """
    name = settings.slot
    hint = snapshot_hint(system)
    slot = find_slot(catalog, name)
    if slot is None:
        raise SlotMissing(
            f"{system}: replication slot {name} does not exist, expected at {resume}", hint=hint
        )
    check_slot_use(slot, settings, system)
    if slot.lost or slot.restart is None:
        reason = slot.lost or "no WAL is reserved"
        raise SlotMissing(
            f"{system}: replication slot {name} was invalidated ({reason}), expected at {resume}",
            hint=f"raise max_slot_wal_keep_size; {hint}",
        )
    if wal_end < resume:
        raise SourceChanged(
            f"{system}: the server's WAL ends at {wal_end}, before the saved position {resume}: "
            "it was restored to an earlier time",
            hint=hint,
        )
    if slot.confirmed is None or slot.confirmed > resume:
        raise SlotMissing(
            f"{system}: replication slot {name} stands at {slot.confirmed}, later than the saved position "
            f"{resume}: it was created again, or another consumer advanced it",
            hint=hint,
        )
    return slot


def check_slot_use(slot: Slot, settings: PostgresSystem, system: str) -> None:
    """Refuse a slot that belongs to something else: OperatorError."""
    if slot.plugin != "pgoutput" or slot.database != settings.database:
        raise OperatorError(
            f"{system}: replication slot {slot.name} is of plugin {slot.plugin} on database {slot.database}, "
            f"expected pgoutput on {settings.database}",
            hint="configure another slot name for this system",
        )


def check_slot_free(slot: Slot, system: str) -> None:
    """Refuse a slot that a running session holds: TransientError, it may be our own former one."""
    if slot.holder is not None:
        raise TransientError(
            f"{system}: replication slot {slot.name} is in use by {slot.holder}",
            hint="stop the other reader, or configure another slot name",
        )


def _lsn(text: str | None) -> Lsn | None:
    return None if text is None else Lsn.parse(text)
