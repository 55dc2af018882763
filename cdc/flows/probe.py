"""`ccbridge probe`: is a real database what the readers take it for?

Each vendor's part is beside its reader: `cdc.readers.logminer.probing`, `cdc.readers.pgoutput.probing`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cdc.assumptions import Deadline, Report
from cdc.config import OracleSystem, PostgresSystem, Settings
from cdc.errors import ConfigurationError
from cdc.readers.logminer.probing import recording
from cdc.readers.logminer.probing.scratch import ScratchPlace
from cdc.readers.logminer.probing.trial import Trial

Told = Callable[[str], None]


System = TypeVar("System", OracleSystem, PostgresSystem)


def chosen(settings: Settings, name: str | None, kind: type[System]) -> tuple[str, System]:
    """The system that is meant: by name, or the only one of its kind.

    Raises:
        ConfigurationError: there is none, or several and no name.
    """
    fitting = {n: s for n, s in settings.systems.items() if isinstance(s, kind)}
    if name is None and len(fitting) == 1:
        return next(iter(fitting.items()))
    if name is not None and name in fitting:
        return name, fitting[name]
    vendor = "oracle" if kind is OracleSystem else "postgres"
    listed = ", ".join(sorted(fitting)) or "none"
    raise ConfigurationError(
        [f"probe: which system of kind {vendor}? the configuration has: {listed}"],
        hint="name one of them, as in: ccbridge probe " + vendor + " <system>",
    )


def probe_oracle(
    settings: Settings,
    system: str | None,
    place: ScratchPlace,
    *,
    file: Path | None,
    deadline: Deadline,
    watch_s: float,
    told: Told,
) -> Report:
    """Try the assumptions of the LogMiner reader.

    Args:
        settings: the configuration.
        system: an Oracle system of it; the only one if None.
        place: the scratch schema.
        file: where the recording is written; nowhere if None.
        deadline: the time it may take.
        watch_s: seconds for which the flushed SCN is watched.
        told: called with what is being done.

    Raises:
        ConfigurationError: no such system.
        OperatorError: the scratch schema has tables of the probe's names that no probe made, or the file
            cannot be written.
    """
    name, oracle = chosen(settings, system, OracleSystem)
    trial = Trial(name, oracle, place, deadline, watch_s, told)
    report = Report(trial.outcomes)
    try:
        trial.run()
    except KeyboardInterrupt:
        report.interrupted = True
    report.unreachable = trial.unreachable
    if file is not None and trial.recording is not None:
        recording.write(file, trial.recording, trial.outcomes)
    return report
