"""The settings as a manual: `docs/configuration.md`, written by `python -m cdc.config.reference`."""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from cdc.config.oracle import ONLY_LOGMINER, OracleSystem
from cdc.config.postgres import PostgresConnection
from cdc.config.sections import ENVIRONMENT_PREFIX, Section
from cdc.config.settings import Rules, Run, Status, Verify, sections_of_sinks
from cdc.kinds import KINDS, resolve

_OF_SINKS = sections_of_sinks()
SECTIONS: tuple[tuple[str, type[Section], str], ...] = (
    ("staging", PostgresConnection, "The database of the staging schema. Required."),
    *(
        ("systems.NAME", resolve(kind.section), f"{kind.title}, under the name that the rule set gives it.")
        for kind in KINDS.values()
    ),
    ("rules", Rules, "Which rule set is run."),
    *((name, one, str(one.__doc__)) for name, one in _OF_SINKS.items() if name != "status"),
    ("run", Run, "Sizes and pauses of continuous replication."),
    ("status", _OF_SINKS.get("status", Status), "When `ccbridge status` reports a problem."),
    ("verify", Verify, "How sources, staging and targets are compared."),
)
"""Header in the file, what it holds, and what it is for."""

_WORDS: dict[object, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    SecretStr: "secret",
}
_HEAD = """# Configuration

`ccbridge init` writes a commented example of the file; `--config` or the environment variable
`CCBRIDGE_CONFIG` names it. This page is written from the settings themselves
(`python -m cdc.config.reference`); a test compares both.

- Every key can be given by an environment variable instead: the prefix `{prefix}`, then section and key in
  capital letters with two underscores between:
  `{prefix}SYSTEMS__NAME__PASSWORD` or `{prefix}RUN__LEASE_TTL_S`.
- Unknown keys are refused, with the nearest known one; all errors are reported at once.
- Passwords are never in the file. Relative paths are meant from the folder of the file.
- Keys without a default are required. Keys marked LogMiner are refused with `reader = "debezium"`.
"""


def render() -> str:
    """The whole manual, as Markdown."""
    parts = [_HEAD.format(prefix=ENVIRONMENT_PREFIX)]
    for header, section, purpose in SECTIONS:
        kind = f' with kind = "{_kind(section)}"' if "kind" in section.model_fields else ""
        title = f"[{header}]{kind}"
        rows = "".join(f"| {' | '.join(row)} |\n" for row in _rows(section))
        parts.append(
            f"## {title}\n\n{purpose}\n\n| key | value | default | meaning |\n|---|---|---|---|\n{rows}"
        )
    return "\n".join(parts)


def _rows(section: type[Section]) -> Iterator[tuple[str, str, str, str]]:
    for name, field in section.model_fields.items():
        if name == "kind" or (name == "reader" and not KINDS[_kind(section)].readers):
            continue
        meaning = field.description or ""
        if section is OracleSystem and name in ONLY_LOGMINER:
            meaning += " (LogMiner)"
        word = _word(field.annotation)
        if name == "reader":
            word = ", ".join(f"`{reader}`" for reader in KINDS[_kind(section)].readers)
        yield f"`{name}`", word, _default(field), meaning


def _kind(section: type[Section]) -> str:
    """The value of `kind` for which a section is."""
    (value,) = typing.get_args(section.model_fields["kind"].annotation)
    return str(value)


def _word(kind: object) -> str:
    """A type in words, with the values that it may have."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _word(inner[0])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (typing.Union, UnionType):
        return ", ".join(_word(each) for each in inner if each is not NoneType)
    if origin is tuple:
        return f"list of {_word(inner[0])}"
    if origin is dict:
        return f"table of {_word(inner[1])} by {_word(inner[0])}"
    return _WORDS[kind]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None or field.default == () or field.default == {}:
        return ""
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(field.default, tuple):
        return "`[" + ", ".join(f'"{value}"' for value in field.default) + "]`"
    return f'`"{field.default}"`' if isinstance(field.default, str) else f"`{field.default}`"


if __name__ == "__main__":
    sys.stdout.write(render())
