"""SQL scripts to statements, the way SQL*Plus cuts them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sandbox.oracle.engine.sql.tokens import Kind, tokenize

_BLOCK = re.compile(r"\s*(?:begin|declare)\b", re.IGNORECASE)


def statements(text: str) -> Iterator[str]:
    """Statements of a script: each ends with `;`, a PL/SQL block with a line of `/` alone."""
    for part in re.split(r"^\s*/\s*$", text, flags=re.MULTILINE):
        start = 0
        for token in tokenize(part):
            if token.kind is Kind.END or (token.kind is Kind.SIGN and token.text == ";"):
                statement = part[start : token.at].strip()
                if _BLOCK.match(_uncommented(statement)):
                    yield part[start:].strip()
                    break
                if _uncommented(statement).strip():
                    yield statement
                start = token.at + 1


def _uncommented(text: str) -> str:
    return re.sub(r"--[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
