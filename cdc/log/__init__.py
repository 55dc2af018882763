"""Structured logs: what a line looks like, and where it goes without ever holding up a flow.

Start at `configure`, which a command calls once. Modules that log use structlog alone. May use the errors.
"""

from cdc.log.configuring import configure

__all__ = ["configure"]
