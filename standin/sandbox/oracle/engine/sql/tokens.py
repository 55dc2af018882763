"""Text to tokens: the words of Oracle SQL and of the PL/SQL blocks we know."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from sandbox.oracle.interface import OracleFault


class Kind(Enum):
    """What a token is."""

    NAME = "name"
    QUOTED = "quoted"
    STRING = "string"
    NUMBER = "number"
    BIND = "bind"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """A word with its place; names are upper case unless quoted, strings without their quotes."""

    kind: Kind
    text: str
    at: int


_PATTERN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<alternative>[nN]?[qQ]'(?:\[.*?\]'|\{.*?\}'|<.*?>'|\(.*?\)'|(?P<mark>[^\s\[{<(]).*?(?P=mark)'))
    |(?P<string>[nN]?'(?:[^']|'')*')
    |(?P<number>(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<name>[^\W\d][\w$\#]*)
    |(?P<quoted>"[^"]+")
    |(?P<bind>:\s?(?:\w+|"[^"]+"))
    |(?P<sign>\(\s*\+\s*\)|<=|>=|<>|!=|\^=|\|\||:=|=>|\.\.|[-+*/(),.;=<>@%])""",
    re.VERBOSE | re.DOTALL,
)


def tokenize(text: str) -> list[Token]:
    """Split a statement; the last token is END.

    Raises:
        OracleFault: ORA-00911 for a character outside the language, ORA-01756 for an open quote.
    """
    tokens: list[Token] = []
    at, end = 0, len(text)
    while at < end:
        match = _PATTERN.match(text, at)
        if match is None:
            if text[at] == "'":
                raise OracleFault(1756, "quoted string not properly terminated", offset=at)
            raise OracleFault(911, "invalid character", offset=at)
        group = match.lastgroup or "space"
        if group == "mark":
            group = "alternative"
        if group != "space":
            tokens.append(_token(group, match.group(), at))
        at = match.end()
    tokens.append(Token(Kind.END, "", end))
    return tokens


def _token(group: str, word: str, at: int) -> Token:
    if group == "name":
        return Token(Kind.NAME, word.upper(), at)
    if group == "quoted":
        return Token(Kind.QUOTED, word[1:-1], at)
    if group == "string":
        return Token(Kind.STRING, word[word.index("'") + 1 : -1].replace("''", "'"), at)
    if group == "alternative":
        return Token(Kind.STRING, word[word.index("'") + 2 : -2], at)
    if group == "bind":
        name = word[1:].strip()
        return Token(Kind.BIND, name[1:-1] if name.startswith('"') else name.upper(), at)
    if group == "sign" and word.startswith("(") and word.endswith(")"):
        return Token(Kind.SIGN, "(+)", at)
    if word in ("!=", "^="):
        return Token(Kind.SIGN, "<>", at)
    return Token(Kind[group.upper()], word, at)


def place_of_name(text: str, name: tuple[str, ...]) -> int:
    """Offset at which a dotted name is first written, 0 if it is not."""
    tokens = tokenize(text)
    for at in range(len(tokens)):
        words = tokens[at : at + 2 * len(name) - 1]
        parts, dots = words[::2], words[1::2]
        if (
            tuple(word.text for word in parts) == name
            and all(word.kind in (Kind.NAME, Kind.QUOTED) for word in parts)
            and all(dot.text == "." for dot in dots)
        ):
            return tokens[at].at
    return 0


class TokenReader:
    """A cursor over tokens; the readers of expressions, queries and statements build on it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0
        self.bind_count = 0

    @property
    def token(self) -> Token:
        """The token to be read next."""
        return self.tokens[self.at]

    def look(self, ahead: int) -> Token:
        """A token further on."""
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def advance(self) -> Token:
        """Take a token."""
        token = self.tokens[self.at]
        if token.kind is not Kind.END:
            self.at += 1
        return token

    def is_word(self, *words: str) -> bool:
        """Is the next token one of these unquoted words?"""
        token = self.tokens[self.at]
        return token.kind is Kind.NAME and token.text in words

    def is_sign(self, *signs: str) -> bool:
        """Is the next token one of these signs?"""
        token = self.tokens[self.at]
        return token.kind is Kind.SIGN and token.text in signs

    def accept(self, *words: str) -> bool:
        """Take these unquoted words if they come next, in this order."""
        for ahead, word in enumerate(words):
            token = self.look(ahead)
            if token.kind is not Kind.NAME or token.text != word:
                return False
        self.at += len(words)
        return True

    def accept_sign(self, sign: str) -> bool:
        """Take a sign if it comes next."""
        if self.is_sign(sign):
            self.at += 1
            return True
        return False

    def expect(self, *words: str) -> None:
        """Take these words or fail."""
        if not self.accept(*words):
            raise self.fault(905, "missing keyword")

    def expect_sign(self, sign: str) -> None:
        """Take a sign or fail."""
        if not self.accept_sign(sign):
            code, text = _MISSING.get(sign, (900, "invalid SQL statement"))
            raise self.fault(code, text)

    def name(self) -> str:
        """Take an identifier."""
        token = self.token
        if token.kind not in (Kind.NAME, Kind.QUOTED):
            raise self.fault(903 if token.kind is Kind.SIGN else 904, "invalid identifier")
        self.at += 1
        return token.text

    def is_end(self) -> bool:
        """Is everything read, but for one closing semicolon?"""
        if self.is_sign(";") and self.look(1).kind is Kind.END:
            self.at += 1
        return self.token.kind is Kind.END

    def fault(self, code: int, text: str) -> OracleFault:
        """An error at the present place."""
        return OracleFault(code, text, offset=self.token.at)


_MISSING = {
    ")": (907, "missing right parenthesis"),
    "(": (906, "missing left parenthesis"),
    ",": (917, "missing comma"),
    "=": (927, "missing equal sign"),
}
