"""Does CC&B hold what staging has sent, and nothing else of ours? Looked at before anything is sent.

CC&B has no table for a mark of ours; its transmissions and our receipts say the same.
"""

from __future__ import annotations

from datetime import datetime

from cdc.bindings import Bound
from cdc.errors import StagingOlder, TargetOlder, bind_hint
from sinks.ccb_payment_upload.ccb.upload import CcbUpload
from sinks.ccb_payment_upload.receipts.lost import LostReceipts
from sinks.ccb_payment_upload.receipts.store import Receipts


def require_known(system: str, bound: Bound | None, ccb: CcbUpload, receipts: Receipts) -> datetime | None:
    """Compare what CC&B holds of us with what staging has sent, before anything is sent.

    Returns:
        Time of the newest transmission that was compared, by CC&B's clock; None if there was none.

    Raises:
        TargetChanged: not the database that staging is bound to.
        StagingOlder: CC&B holds transmissions of ours that staging never sent.
        TargetOlder: what staging sent last is missing from CC&B.
        TransientError: CC&B or staging is not reachable.
    """
    source = ccb.upload.external_source
    found = ccb.transmissions(since=bound.seen_at if bound else None)
    unknown = sorted(receipts.unknown(found), key=lambda number: (found[number], number))
    if unknown:
        raise StagingOlder(
            f"{system}: CC&B holds {len(unknown)} transmissions under external source {source} that this "
            f"staging did not send, the first {unknown[0]} of {found[unknown[0]]}: it was restored from a "
            "backup, or another installation sends under that source",
            hint="give each installation an external_source of its own; or, when both sources are read up to "
            f"now (ccbridge status: no error, no lag), {bind_hint(system)}; "
            "receipts that CC&B holds are not sent again",
        )
    last = receipts.last_sent(ccb.name)
    if not last.is_empty() and not ccb.held(last):
        raise TargetOlder(
            f"{system}: CC&B holds no receipt of transmission {last['transmission_id'][0]}, which was sent "
            "last, in its upload tables or among its tenders: it was restored from a backup, or is a copy",
            hint=f"connect to the former database; or, if it was restored, {bind_hint(system)}",
        )
    return max(found.values(), default=None)


def missing(ccb: CcbUpload, receipts: LostReceipts) -> list[str]:
    """Receipts that CC&B held and holds no more.

    What was sent last is missing from a restored CC&B. So the search goes back until CC&B holds everything.

    Raises:
        TransientError: CC&B or staging is not reachable.
    """
    found: list[str] = []
    for part in receipts.newest():
        held = ccb.held(part)
        lost = [key for key in part["recharge_id"].to_list() if key not in held]
        if not lost:
            break
        found += lost
    return found
