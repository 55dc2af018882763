"""The errors that the product raises on purpose."""

from __future__ import annotations

import importlib.util
import pkgutil

import sinks
from cdc import errors


def error_kinds() -> dict[str, type[errors.CcbridgeError]]:
    """Every kind by its name, the base class too: those of all rooms, and those of one sink."""
    own = [f"{sink.name}.errors" for sink in pkgutil.iter_modules(sinks.__path__, "sinks.")]
    found = [errors, *(importlib.import_module(name) for name in own if importlib.util.find_spec(name))]
    return {
        name: kind
        for module in found
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, errors.CcbridgeError)
    }
