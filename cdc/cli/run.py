"""`ccbridge run`: continuous replication, until it is asked to stop."""

from __future__ import annotations

import cdc.log
from cdc import config as configuration
from cdc.terminal.options import DEFAULT_CONFIG, Config, LogFile, LogFormat, Verbose
from cdc.terminal.signals import stop_on_signals


def command(
    config: Config = DEFAULT_CONFIG,
    log_format: LogFormat = "auto",
    log_file: LogFile = None,
    verbose: Verbose = False,
) -> None:
    """Replicate continuously, until SIGTERM, SIGHUP or Ctrl-C.

    Ends after the current batch. A second process on another host waits as standby and takes over.
    """
    cdc.log.configure(log_format, verbose=verbose, file=log_file)
    settings = configuration.load(config)
    from cdc.cli.progress import progress_shown
    from cdc.flows.progress.state import FlowState
    from cdc.flows.replicate import replicate

    stop = stop_on_signals()
    state = FlowState()
    with progress_shown(state):
        replicate(settings, stop=stop, state=state)
