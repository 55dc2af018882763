"""How the payment upload is opened and checked: its entry in `cdc.kinds`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from cdc.config import OracleSystem, Settings
from cdc.ports import Finding, SinkKind, SinkOpening
from mapping_rules import OutboundProgram
from sinks.ccb_payment_upload.ccb.upload import CcbUpload
from sinks.ccb_payment_upload.section import PaymentUpload
from sinks.ccb_payment_upload.sink import PaymentUploadSink


def upload_of(settings: Settings, system: str) -> CcbUpload:
    """The side of the payment upload that talks to CC&B."""
    return CcbUpload(
        system, settings.system(system, OracleSystem), settings.section("payment_upload", PaymentUpload)
    )


def _open(opening: SinkOpening) -> PaymentUploadSink:
    settings = opening.settings
    return PaymentUploadSink(
        upload_of(settings, opening.system), opening.staging, opening.lease, settings.run
    )


def _findings(settings: Settings, system: str, programs: Sequence[OutboundProgram]) -> list[Finding]:
    del programs  # `ccbridge rules check` knows their columns
    with closing(upload_of(settings, system)) as ccb:
        return ccb.preflight()


def _rule_errors(programs: Sequence[OutboundProgram]) -> list[str]:
    if len(programs) < 2:
        return []
    names = ", ".join(program.name for program in programs)
    return [f"outbound rules {names}: a system takes one payment upload rule, not several"]


PAYMENT_UPLOAD = SinkKind(_open, _findings, _rule_errors)
