"""How the sink is opened and checked: its entry in `cdc.kinds`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cdc.config import Settings
from cdc.ports import Finding, SinkKind, SinkOpening
from mapping_rules import OutboundProgram
from sinks.jsonl.folder import look
from sinks.jsonl.section import JsonlSystem
from sinks.jsonl.sink import JsonlSink


def _open(opening: SinkOpening) -> JsonlSink:
    target: JsonlSystem = opening.target
    token = opening.lease.token if opening.lease is not None else 0
    return JsonlSink(opening.system, target.directory, rotate_bytes=target.rotate_bytes, fencing_token=token)


def _findings(settings: Settings, system: str, programs: Sequence[OutboundProgram]) -> list[Finding]:
    del programs
    target: JsonlSystem = settings.systems[system]  # type: ignore[assignment]
    directory = target.directory
    place = directory if directory.exists() else directory.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return [
            Finding(
                f"directory {directory}",
                f"{place} cannot be written",
                "a directory of the service's user",
                f"make {directory}, writable for the user that runs ccbridge",
            )
        ]
    look(directory)
    return []


def _rule_errors(programs: Sequence[OutboundProgram]) -> list[str]:
    return [
        f"outbound rule {program.name}: insert: false needs a target that can be read, sink 'jsonl' cannot"
        for program in programs
        if program.update_only
    ]


JSONL = SinkKind(_open, _findings, _rule_errors)
