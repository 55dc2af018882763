"""The time of the database host, which the redo's times are in, without their zone."""

from __future__ import annotations

from datetime import timedelta


def parsed_offset(text: str) -> timedelta:
    """`+01:00` as a time delta."""
    hours, _, minutes = text.strip().lstrip("+-").partition(":")
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return -offset if text.strip().startswith("-") else offset
