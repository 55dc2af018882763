"""Texts that a terminal, a log or a status table may show.

Values and names come from databases and rule files, so they may hold terminal escapes, line breaks that forge
a log line, marks that reverse the direction of text, or a password. `printable` makes any text one harmless
line; `masked` hides secrets: those this process was configured with by their value, others by their form.
"""

from __future__ import annotations

import re

# C0 and C1 controls, line and paragraph separators, bidirectional overrides and isolates, zero-width marks
_UNPRINTABLE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff"
_IN_LINE = re.compile(f"[{_UNPRINTABLE}\t\n]")
_IN_TEXT = re.compile(f"[{_UNPRINTABLE}]")

_SHORTEST_SECRET = 4
"""Shorter values would be hidden in places where they are not secret."""
_secrets: set[str] = set()

_FORMS = re.compile(
    r"""(?P<key>["']?[\w-]*(?:passw(?:or)?d|passwd|pwd|secret|token|credential|api[_-]?key)(?![\w-]*_file\b)[\w-]*["']?\s*[=:]\s*)
        (?:SecretStr\()?(?:'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*"|[^\s,;)}\]]+)
      | (?P<scheme>\b(?:bearer|basic)\s+)[\w.~+/=-]{4,}
      | (?P<url>[a-z][\w+.-]*://[^\s:/@]*:)\S+(?=@)
      | (?P<easy>\b[\w$\#]+/)[^\s/@]+(?=@\S)
    """,
    re.IGNORECASE | re.VERBOSE,
)


def printable(text: str, *, lines: bool = False) -> str:
    """The text without what could steer a terminal or forge a line; such characters become blanks.

    Args:
        text: any text.
        lines: keep line breaks and tabs, as a traceback needs.
    """
    return (_IN_TEXT if lines else _IN_LINE).sub(" ", text)


def register_secret(value: str) -> None:
    """Hide this value wherever `masked` meets it from now on."""
    if len(value) >= _SHORTEST_SECRET:
        _secrets.add(value)


def masked(text: str) -> str:
    """The text with `***` in place of passwords and tokens."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return _FORMS.sub(lambda m: f"{m['key'] or m['scheme'] or m['url'] or m['easy'] or ''}***", text)
