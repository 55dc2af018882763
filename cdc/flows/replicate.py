"""Continuous replication: every source into staging, staging into every target, until asked to stop.

One process is active: it holds the lease `replication`; another one waits until the lease is not
renewed any more.
"""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
import uuid
from functools import partial

import structlog

from cdc import __version__
from cdc.config import Settings
from cdc.errors import CcbridgeError, LeaseLost, TransientError
from cdc.flows import wiring
from cdc.flows.checks.preflight import require
from cdc.flows.progress.lag import flows_with_lag
from cdc.flows.progress.publishing import Publisher
from cdc.flows.progress.report import Report
from cdc.flows.progress.state import FlowState
from cdc.flows.sources_found import SourcesFound
from cdc.flows.staged_signal import StagedSignal
from cdc.flows.supervision import Supervisor, pause_s
from cdc.postgres.connect import Connection, connect
from cdc.rule_set import load_rules
from cdc.staging.leases import Lease

log = structlog.get_logger(__name__)

LEASE = "replication"
_LOOK_S = 0.5
_RENEW_S = 1.0
"""Twice in the time after which a holder that lost its session is taken for dead."""
COLLECT_AFTER = 50_000
"""Objects made and kept until Python looks for rings among them; a batch keeps some hundred thousand."""


def replicate(settings: Settings, *, stop: threading.Event, state: FlowState) -> None:
    """Replicate until `stop` is set, every flow ended after its current batch.

    Raises:
        RuleErrors: the rule set is wrong; nothing was contacted.
        PreflightFailed: a finding; nothing was written.
        LeaseLost: another process took over.
        CcbridgeError: the error that ended a flow for good; the other flows continued until `stop`.
    """
    rule_set = load_rules(settings)
    require(settings, rule_set)
    run_id = uuid.uuid4()
    logger = log.bind(run_id=str(run_id))
    lease = Lease(
        settings.staging,
        LEASE,
        f"{socket.gethostname()}:{os.getpid()}",
        settings.run.lease_ttl_s,
        version=__version__,
        rule_set=rule_set.digest,
    )
    try:
        if not _became_active(lease, stop):
            return
        logger.info("replication_started", rule_set=rule_set.digest[:12], fencing=lease.token)
        supervisor = Supervisor(stop, state)
        context = wiring.Context(
            settings, rule_set, lease, run_id, state, StagedSignal(), SourcesFound(wiring.sources(rule_set))
        )
        rest_collector()
        for name, work in wiring.flows(context):
            supervisor.start(name, work)
        try:
            _keep_alive(settings, lease, run_id, state, supervisor, stop)
        finally:
            stop.set()
            context.wake.close()
            supervisor.join()
            _publish(settings, lease, run_id, state)
        supervisor.raise_first()
        logger.info("replication_stopped")
    finally:
        lease.close()


def rest_collector() -> None:
    """Let Python look for unreachable rings less often: rows make none, and looking is time of every flow.

    Modules and rules stay: they are left out for good.
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


def _became_active(lease: Lease, stop: threading.Event) -> bool:
    """Take the lease, as a standby while another process holds it; False if asked to stop before."""
    if lease.acquire(wait_s=0) is not None:
        return True
    logger = log.bind(lease=lease.name)
    logger.info("standby_started")
    failures = 0
    while not stop.is_set():
        try:
            if lease.acquire(stop=stop) is not None:
                return True
        except TransientError as exc:
            failures += 1
            if failures == 1:
                logger.warning("heartbeat_missed", error_code=exc.code, reason=str(exc))
            stop.wait(pause_s(failures))
    logger.info("standby_stopped")
    return False


def _keep_alive(
    settings: Settings,
    lease: Lease,
    run_id: uuid.UUID,
    state: FlowState,
    supervisor: Supervisor,
    stop: threading.Event,
) -> None:
    """Renew the lease and publish what the flows do, looked at twice a second; ends when all flows ended."""
    connection: Connection | None = None
    publisher = Publisher(run_id, state)
    missed, renew_at = False, 0.0
    report = Report()
    try:
        while not stop.wait(_LOOK_S) and supervisor.alive():
            try:
                if missed or time.monotonic() >= renew_at:
                    lease.renew()
                    renew_at = time.monotonic() + _RENEW_S - _LOOK_S / 2
                if connection is None:
                    connection = connect(settings.staging, application="ccbridge status", autocommit=True)
                supervisor.watch()
                publisher.publish_news(connection)
                report.log_progress(state.all(), partial(flows_with_lag, connection))
                missed = False
            except LeaseLost:
                raise
            except CcbridgeError as exc:
                # the flows meet the same failure; without renewal another process takes over
                if not missed:
                    log.warning("heartbeat_missed", error_code=exc.code, reason=str(exc))
                missed = True
                if connection is not None:
                    connection.close()
                    connection = None
    finally:
        if connection is not None:
            connection.close()


def _publish(settings: Settings, lease: Lease, run_id: uuid.UUID, state: FlowState) -> None:
    """Write the last state of each flow, unless staging is unreachable or another process is active."""
    try:
        lease.renew()
        with connect(settings.staging, application="ccbridge status", autocommit=True) as connection:
            Publisher(run_id, state).publish_news(connection)
    except LeaseLost:
        pass
    except CcbridgeError as exc:
        log.warning("heartbeat_missed", error_code=exc.code, reason=str(exc))
