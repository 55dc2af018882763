"""The TOML file and the environment to settings; every error of both at once, none with a value."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from cdc.config.sections import ENVIRONMENT_PREFIX, Section, SystemSection
from cdc.config.settings import Rules, Settings
from cdc.errors import ConfigurationError
from cdc.kinds import KINDS, resolve

SECRET_KEYS = ("password", "wallet_password")


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read and check the configuration file.

    Args:
        path: the TOML file.
        environment: variables that start with CCBRIDGE_ override keys, `__` between levels.

    Relative paths are meant from the folder of the file, those of the environment too.

    Raises:
        ConfigurationError: the file is missing, is not TOML, or has errors; all are listed.
    """
    tree = _tree(path)
    in_file = list(_secrets_in_file(path, tree))
    origins = _overridden(tree, environment)
    try:
        settings = Settings.model_validate(tree, context={"folder": path.resolve().parent})
    except ValidationError as exc:
        errors = [_error_text(path, origins, error) for error in exc.errors()]
        raise ConfigurationError(in_file + errors, hint="ccbridge init writes a commented example") from exc
    errors = in_file + [
        f"{path}: {error}" for error in (*_transport_errors(settings), *_file_errors(settings))
    ]
    if errors:
        raise ConfigurationError(
            errors, hint="correct the file; on a test system insecure = true allows connections without TLS"
        )
    return settings


class _RulesOnly(BaseModel):
    """What the verbs of rules need of a configuration: they run where no database is."""

    rules: Rules = Rules()
    systems: dict[str, dict[str, Any]] = {}


def load_rules_section(
    path: Path, environment: Mapping[str, str] = os.environ
) -> tuple[Rules, dict[str, str]]:
    """Which rule set a configuration names, and the schema owners that it gives by system.

    Nothing else of the file is checked: certificates and passwords may be elsewhere.

    Raises:
        ConfigurationError: the file is missing, is not TOML, or the section is wrong.
    """
    tree = _tree(path)
    origins = _overridden(tree, environment)
    try:
        found = _RulesOnly.model_validate(tree, context={"folder": path.resolve().parent})
    except ValidationError as exc:
        raise ConfigurationError([_error_text(path, origins, error) for error in exc.errors()]) from exc
    schemas = {name: _default_schema(system) for name, system in found.systems.items()}
    return found.rules, {name: schema for name, schema in schemas.items() if schema is not None}


def _default_schema(system: Mapping[str, Any]) -> str | None:
    kind = KINDS.get(str(system.get("kind")))
    section: type[SystemSection] | None = None if kind is None else resolve(kind.section)
    if section is None or section.schema_key is None:
        return None
    return str(system.get(section.schema_key, section.model_fields[section.schema_key].default))


def _overridden(tree: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Put the environment's values over the file's; returns the variable by key."""
    origins: dict[str, str] = {}
    for name, value in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name:
            keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            origins[".".join(keys)] = name
            _override(tree, keys, value)
    return origins


def _tree(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ConfigurationError(
            [f"{path}: no such file"], hint=f"write one: ccbridge init --config {path}"
        ) from exc
    except OSError as exc:
        raise ConfigurationError([f"{path}: {exc.strerror}"], hint="give a file that can be read") from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError([f"{path}: not UTF-8 at byte {exc.start}"], hint="save it as UTF-8") from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError([f"{path}: not TOML: {exc}"], hint="correct the line") from exc


def _override(tree: dict[str, Any], keys: list[str], value: str) -> None:
    for key in keys[:-1]:
        below = tree.setdefault(key, {})
        if not isinstance(below, dict):
            return
        tree = below
    tree[keys[-1]] = value


def _error_text(path: Path, origins: Mapping[str, str], error: Mapping[str, Any]) -> str:
    """One line for a pydantic error, without the value found (it may be a secret)."""
    parts = [str(part) for part in error["loc"]]
    if len(parts) > 2 and parts[0] == "systems":
        del parts[2]  # which kind of system it was taken for
    key = ".".join(parts)
    place = origins.get(key) or f"{path}: {key}"
    if error["type"] == "extra_forbidden":
        near = get_close_matches(parts[-1], _known_keys(error["loc"]), n=1)
        return f"{place}: unknown key" + (f", did you mean {near[0]!r}?" if near else "")
    if error["type"] == "missing":
        return f"{place}: missing"
    if error["type"].startswith("union_tag"):
        *others, last = map(repr, sorted(KINDS))
        return f"{place}.kind: expected {', '.join(others)} or {last}"
    text = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")
    return f"{place}: {text[:1].lower()}{text[1:]}"


def _known_keys(location: Sequence[str | int]) -> list[str]:
    """Keys of the section in which an error was found."""
    section: type[Section] = Settings
    for part in location[:-1]:
        if part in KINDS:
            section = resolve(KINDS[str(part)].section)
        elif part in Settings.model_fields and part != "systems":
            kind = Settings.model_fields[str(part)].annotation
            section = kind if isinstance(kind, type) and issubclass(kind, Section) else section
    return list(section.model_fields)


def _transport_errors(settings: Settings) -> Iterator[str]:
    yield from settings.staging.transport_errors("staging", insecure=settings.staging.insecure)
    for name, system in settings.systems.items():
        insecure = bool(getattr(system, "insecure", False))
        yield from system.transport_errors(f"systems.{name}", insecure=insecure)


def _file_errors(settings: Settings) -> Iterator[str]:
    """Files that the configuration names and that are not there."""
    sections: dict[str, Section] = {"staging": settings.staging}
    sections |= {f"systems.{name}": system for name, system in settings.systems.items()}
    for place, section in sections.items():
        for key in ("password_file", "sslrootcert", "wallet", "wallet_password_file"):
            named: Path | None = getattr(section, key, None)
            if named is not None and not named.exists():
                yield f"{place}.{key}: {named} does not exist"
            elif named is not None and key.endswith("password_file") and named.stat().st_mode & 0o007:
                yield f"{place}.{key}: {named} can be read by every user, run: chmod o-rwx {named}"


def _secrets_in_file(path: Path, tree: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """Passwords in the file itself, which is copied, shown and committed as configurations are."""
    for key, value in tree.items():
        name = f"{place}.{key}" if place else key
        if isinstance(value, Mapping):
            yield from _secrets_in_file(path, value, name)
        elif key in SECRET_KEYS:
            variable = ENVIRONMENT_PREFIX + name.replace(".", "__").upper()
            yield f"{path}: {name}: no secrets in this file, set {variable} or {key}_file"
