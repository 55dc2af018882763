"""The manual page, made of the command line itself: `ccbridge help --man`.

Source: man(7) macros of groff; conventions of man-pages(7) for sections and their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cdc import __version__

_FILES = (
    ("ccbridge.toml", "the configuration, in the current directory or where --config says"),
    ("password_file", "of a section of it: a password, read by its owner only"),
)
_ENVIRONMENT = (
    ("CCBRIDGE_CONFIG", "the configuration file"),
    ("CCBRIDGE_STAGING__PASSWORD", "password of the staging database"),
    ("CCBRIDGE_SYSTEMS__NAME__PASSWORD", "password of the system NAME, in capitals"),
)


def page(program: Any) -> str:
    """The page in section 1.

    Args:
        program: the command with all its commands, as click has it.
    """
    return "\n".join(_lines(program)) + "\n"


def _lines(program: Any) -> Iterator[str]:
    yield f'.TH CCBRIDGE 1 "" "ccbridge {__version__}" "User Commands"'
    yield ".SH NAME"
    purpose = _text(str(program.help)).rstrip(".")
    yield f"ccbridge \\- {purpose[0].lower()}{purpose[1:]}"
    yield ".SH SYNOPSIS"
    yield ".B ccbridge\n.I command\n[\\fIoptions\\fR]"
    yield ".SH COMMANDS"
    for words, command in _commands(program, ""):
        yield from _command(words, command)
    yield ".SH EXIT STATUS"
    for code, meaning in re.findall(r"(\d) ([^,.]+)", str(program.epilog)):
        yield f".TP\n.B {code}\n{_text(meaning)}"
    for title, entries in (("ENVIRONMENT", _ENVIRONMENT), ("FILES", _FILES)):
        yield f".SH {title}"
        for name, meaning in entries:
            yield f".TP\n.B {_text(name)}\n{_text(meaning)}"


def _commands(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    """The commands that do something, by their words, in the order of the help."""
    found = getattr(command, "commands", None)
    if found is None:
        yield words, command
    for name, one in (found or {}).items():
        if not one.hidden:
            yield from _commands(one, f"{words} {name}".strip())


def _command(words: str, command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    shown = "".join(f" {one.name.upper()}" if one.required else f" [{one.name.upper()}]" for one in arguments)
    yield f".SS {_text(f'ccbridge {words}{shown}')}"
    for paragraph in str(command.help or "").split("\n\n"):
        yield f".PP\n{_text(paragraph)}"
    for one in command.params:
        record = one.get_help_record(_context(command)) if one.param_type_name == "option" else None
        if record is not None:
            yield f".TP\n.B {_text(record[0])}\n{_text(record[1])}"


def _context(command: Any) -> Any:
    return command.context_class(command)


def _text(text: str) -> str:
    """One line of running text, nothing of which is a macro or an escape."""
    line = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{line}" if line.startswith((".", "'")) else line
