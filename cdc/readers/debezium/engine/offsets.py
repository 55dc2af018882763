"""Debezium's offsets: read from its records, written where it looks for them when it starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cdc.readers.debezium.engine import jvm

NAME = "ccbridge"
"""Name of the engine and prefix of its topics: both are in the key under which Debezium finds its offset."""


def write_offset(path: Path, offset: Mapping[str, Any]) -> None:
    """Write the file that Debezium's offset store reads when it starts.

    Source: Kafka Connect, FileOffsetBackingStore: a serialized Java map of byte arrays.
    """
    key = json.dumps([NAME, {"server": NAME}], separators=(",", ":"))
    value = json.dumps(dict(offset), separators=(",", ":"))
    texts = jvm.java("java.lang.String")
    entries = jvm.java("java.util.HashMap")()
    entries.put(texts(key).getBytes("UTF-8"), texts(value).getBytes("UTF-8"))
    out = jvm.java("java.io.ObjectOutputStream")(jvm.java("java.io.FileOutputStream")(str(path)))
    out.writeObject(entries)
    out.close()


def as_json_types(offset: Any) -> dict[str, Any]:
    """A Java offset map as JSON types."""
    return dict(
        json.loads(str(jvm.java("com.fasterxml.jackson.databind.ObjectMapper")().writeValueAsString(offset)))
    )
