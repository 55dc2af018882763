"""Receipts that a restored CC&B lost: found when it is bound again, listed, and decided on by an operator.

A recharge is sent once. What CC&B had before it was restored, and no longer has, goes onto a list; nothing
of it is sent automatically.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from cdc.config import Settings
from cdc.errors import ConfigurationError
from cdc.postgres.connect import Connection, connect
from cdc.rule_set import load_rules
from sinks.ccb_payment_upload.ccb.upload import CcbUpload
from sinks.ccb_payment_upload.kind import upload_of
from sinks.ccb_payment_upload.receipts.lost import LostReceipts
from sinks.ccb_payment_upload.receipts.store import transmission_id
from sinks.ccb_payment_upload.section import PaymentUpload

_APPLICATION = "ccbridge receipts"


@dataclass(frozen=True)
class Plan:
    """What an operator asked for, looked up in CC&B.

    Args:
        there: receipts that CC&B holds after all.
        lost: rows of the others (`sinks.ccb_payment_upload.receipts.lost.COLUMNS`).
    """

    there: list[str]
    lost: list[dict[str, Any]]


def listed(settings: Settings) -> list[dict[str, Any]]:
    """Lost receipts without a decision: `sinks.ccb_payment_upload.receipts.lost.COLUMNS`."""
    with connect(settings.staging, application=_APPLICATION, autocommit=True) as staging:
        return LostReceipts(staging).listed()


def plan(settings: Settings, keys: Sequence[str]) -> Plan:
    """Look for lost receipts in CC&B once more; those that are there are taken off the list.

    Args:
        settings: the configuration.
        keys: receipts; none for all on the list.

    Raises:
        ConfigurationError: one of them is not on the list, or no Oracle target is configured.
        CcbridgeError: staging or CC&B cannot be reached.
    """
    with connect(settings.staging, application=_APPLICATION, autocommit=True) as staging:
        receipts = LostReceipts(staging)
        _require_listed(receipts, keys)
        with closing(_sink(settings)) as sink:
            held = sink.held(receipts.lost())
        there = sorted(held)
        receipts.found(there)
        left = [row for row in receipts.listed() if not keys or row["recharge_id"] in set(keys)]
    return Plan([key for key in there if not keys or key in set(keys)], left)


def send_again(settings: Settings, plan: Plan, reason: str) -> list[dict[str, Any]]:
    """Have the receipts of a plan sent again by `ccbridge run`, each looked for in CC&B before.

    Returns:
        Rows of those that were still on the list.
    """
    with connect(settings.staging, application=_APPLICATION, autocommit=True) as staging:
        again = LostReceipts(staging).send_again(_transmissions(staging, settings, plan), reason)
    return [row for row in plan.lost if row["recharge_id"] in set(again)]


def close(settings: Settings, keys: Sequence[str], reason: str) -> int:
    """Take lost receipts off the list without sending them; returns how many.

    Raises:
        ConfigurationError: one of them is not on the list.
    """
    with connect(settings.staging, application=_APPLICATION, autocommit=True) as staging:
        receipts = LostReceipts(staging)
        _require_listed(receipts, keys)
        chosen = keys or [row["recharge_id"] for row in receipts.listed()]
        return len(receipts.close(chosen, reason))


def _transmissions(staging: Connection, settings: Settings, plan: Plan) -> dict[str, list[str]]:
    """Transmissions of one currency, with ids that no former one has."""
    row = staging.execute("select gen_random_uuid()::text").fetchone()
    salt = str(row[0]) if row else ""
    upload = settings.section("payment_upload", PaymentUpload)
    found: dict[str, list[str]] = {}
    for currency in sorted({one["currency"] for one in plan.lost}):
        keys = [one["recharge_id"] for one in plan.lost if one["currency"] == currency]
        for start in range(0, len(keys), upload.max_per_transmission):
            part = keys[start : start + upload.max_per_transmission]
            found[transmission_id(upload.external_source, [salt, *part])] = part
    return found


def _require_listed(receipts: LostReceipts, keys: Sequence[str]) -> None:
    known = {row["recharge_id"] for row in receipts.listed()}
    wrong = [f"receipt {key}: not on the list of lost receipts" for key in keys if key not in known]
    if wrong:
        raise ConfigurationError(wrong, hint="run: ccbridge receipts lost")


def _sink(settings: Settings) -> CcbUpload:
    for rule in load_rules(settings).outbound:
        if rule.sink == "ccb_payment_upload":
            return upload_of(settings, rule.system)
    raise ConfigurationError(["no rule of the rule set uploads payments"])
