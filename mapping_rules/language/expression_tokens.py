"""What the text of a rule's SQL expression may hold, judged before Polars reads it.

Polars resolves table functions such as `read_csv` while it parses, so a check of the parsed expression comes
too late. Here the text is cut into tokens by the rules of the parser Polars uses (sqlparser, its generic
dialect), and each token must be one that cannot reach beyond the row: strings, numbers, columns, listed
operators, keywords, types and functions. What is not listed is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_CHARACTERS = 2_000
MAX_TOKENS = 400
MAX_DEPTH = 24
MAX_PADDED = 4_000
"""Longest result of LPAD and RPAD, in characters, as the longest text column of Oracle."""
MAX_GROWTH = 100
"""How many times longer all REPLACE together may make a text."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTIONS = _words(
    """CONCAT CONCAT_WS UPPER LOWER INITCAP TRIM LTRIM RTRIM LPAD RPAD LEFT RIGHT SUBSTR SUBSTRING REPLACE
    REVERSE NORMALIZE LENGTH CHAR_LENGTH CHARACTER_LENGTH OCTET_LENGTH BIT_LENGTH STRPOS STARTS_WITH ENDS_WITH
    SPLIT_PART REGEXP_LIKE COALESCE NULLIF IFNULL IF GREATEST LEAST ABS CEIL CEILING FLOOR ROUND SIGN MOD
    TRY_CAST"""
)
"""Functions of one row whose result depends on their arguments alone."""

KEYWORDS = _words("""CASE WHEN THEN ELSE END AND OR NOT IN IS NULL TRUE FALSE LIKE ILIKE BETWEEN AS""")
TYPES = _words("""VARCHAR TEXT STRING INT INTEGER SMALLINT BIGINT DECIMAL NUMERIC DOUBLE FLOAT REAL DATE""")

_RESERVED = _words(
    """ALL ANY ARRAY CAST COLUMNS CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP DATE_PART DISTINCT EXCEPT
    EXCLUDE EXISTS EXTRACT FOR FROM GROUP HAVING INTERSECT INTERVAL INTO JOIN LATERAL LIMIT LOCALTIME
    LOCALTIMESTAMP NOW ORDER OVER QUALIFY RANDOM RLIKE REGEXP SELECT SOME STRUCT SYMMETRIC TABLE TIMESTAMP
    TODAY UNION UNNEST UUID VALUES WHERE WINDOW WITH"""
)
"""Words with a meaning in SQL that no unquoted column can have here."""

_PARTS = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<string>'(?:[^'\x00-\x08\x0b\x0c\x0e-\x1f]|'')*')
      | (?P<quoted>"[^"\x00-\x1f]+")
      | (?P<word>[^\W\d]\w*)
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<refused>--|/\*|::)
      | (?P<operator>\|\||<=|>=|<>|!=|[-+*/%=<>(),])
    """,
    re.VERBOSE,
)
_VALUES = ("string", "quoted", "word", "number")


class ExpressionRefused(ValueError):
    """The expression cannot be used in a rule; the text says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of the text: `kind` is string, column, word, number or operator."""

    kind: str
    text: str

    @property
    def upper(self) -> str:
        """The text as keywords and functions are compared."""
        return self.text.upper()


def tokens(sql: str) -> list[Token]:
    """The tokens of an expression; quoted and unquoted columns have the kind `column`.

    Raises:
        ExpressionRefused: the text is too long, or holds what an expression over one row does not need.
    """
    if len(sql) > MAX_CHARACTERS:
        raise ExpressionRefused(f"expected at most {MAX_CHARACTERS} characters, found {len(sql)}")
    found = _cut(sql)
    if len(found) > MAX_TOKENS:
        raise ExpressionRefused(f"expected at most {MAX_TOKENS} words and signs, found {len(found)}")
    read = [_named(found, index) for index in range(len(found))]
    _check_depth(read)
    _check_growth(read)
    return read


def columns(read: Sequence[Token]) -> frozenset[str]:
    """The columns that the tokens name."""
    return frozenset(token.text.strip('"') for token in read if token.kind == "column")


def _cut(sql: str) -> list[Token]:
    found: list[Token] = []
    at, glued = 0, False
    while at < len(sql):
        match = _PARTS.match(sql, at)
        kind = match.lastgroup if match else None
        if match is None or kind is None:
            raise ExpressionRefused(f"{sql[at]!r} is not allowed in an expression")
        if kind == "refused":
            raise ExpressionRefused(
                "'::' stops at the first bad value, write TRY_CAST(column AS type)"
                if match[0] == "::"
                else f"{match[0]!r} is not allowed in an expression, write comments in the YAML file"
            )
        # a prefix changes what a string is (E'..', X'..'), and digits glued to letters are not a plain number
        if glued and kind in _VALUES:
            raise ExpressionRefused(f"expected a sign or a space before {match[0]!r}")
        glued = kind in _VALUES
        if kind != "space":
            found.append(Token(kind, match[0]))
        at = match.end()
    return found


def _named(found: Sequence[Token], index: int) -> Token:
    """The token with its meaning, which the token behind it decides."""
    token = found[index]
    behind = found[index + 1] if index + 1 < len(found) else Token("operator", ")")
    if token.kind == "word" and _is_known_word(token, behind):
        return token
    if token.kind in ("word", "quoted"):
        if behind.text == "(" or behind.kind not in ("operator", "word") or not _may_follow_column(behind):
            raise ExpressionRefused(f"{token.text!r} is not allowed before {behind.text!r} in an expression")
        return Token("column", token.text)
    return token


def _is_known_word(token: Token, behind: Token) -> bool:
    if behind.text == "(" and token.upper in FUNCTIONS:
        return True
    if token.upper in ("CAST", "STRPTIME", "TO_DATE", "TO_TIMESTAMP"):
        raise ExpressionRefused(
            f"{token.text!r} stops at the first bad value, write TRY_CAST(column AS type)"
        )
    if token.upper in _RESERVED:
        raise ExpressionRefused(f"{token.text!r} is not allowed in an expression")
    if token.upper in TYPES:
        return behind.kind == "operator"
    if token.upper in KEYWORDS:
        return True
    if behind.text == "(":
        raise ExpressionRefused(f"{token.text!r} is not an allowed function, expected one of: {_listed()}")
    return False


def _may_follow_column(behind: Token) -> bool:
    return behind.kind == "operator" or behind.upper in KEYWORDS


def _listed() -> str:
    return ", ".join(sorted(FUNCTIONS))


def _check_depth(read: Sequence[Token]) -> None:
    """Refuse what Polars would resolve by deep recursion."""
    depth = 0
    for token in read:
        depth += {"(": 1, ")": -1}.get(token.text, 0) if token.kind == "operator" else token.upper == "CASE"
        depth -= token.kind == "word" and token.upper == "END"
        if depth > MAX_DEPTH:
            raise ExpressionRefused(f"expected at most {MAX_DEPTH} levels of parentheses")


def _check_growth(read: Sequence[Token]) -> None:
    """Refuse results that are many times longer than the row: rules are tried when they are loaded."""
    growth = 1
    for index, token in enumerate(read):
        if token.kind != "word" or token.upper not in ("LPAD", "RPAD", "REPLACE"):
            continue
        arguments = _arguments(read, index + 1)
        if token.upper == "REPLACE":
            growth *= _replacement(arguments)
        elif (
            len(arguments) not in (2, 3)
            or len(arguments[1]) != 1
            or not arguments[1][0].text.isascii()
            or not arguments[1][0].text.isdigit()
            or int(arguments[1][0].text) > MAX_PADDED
        ):
            raise ExpressionRefused(f"{token.text}: expected a length of at most {MAX_PADDED}, as a number")
    if growth > MAX_GROWTH:
        raise ExpressionRefused(
            f"REPLACE would make a text {growth} times longer, expected {MAX_GROWTH} at most"
        )


def _replacement(arguments: Sequence[Sequence[Token]]) -> int:
    texts = [part[0].text[1:-1].replace("''", "'") for part in arguments[1:] if _is_string(part)]
    if len(arguments) != 3 or len(texts) != 2 or not texts[0]:
        raise ExpressionRefused(
            "REPLACE: expected a column, a text to look for and a text to put, as strings"
        )
    return max(1, -(-len(texts[1]) // len(texts[0])))


def _is_string(part: Sequence[Token]) -> bool:
    return len(part) == 1 and part[0].kind == "string"


def _arguments(read: Sequence[Token], opening: int) -> list[list[Token]]:
    """The tokens of each argument of the function whose parenthesis opens at this index."""
    arguments: list[list[Token]] = [[]]
    depth = 0
    for token in read[opening:]:
        sign = token.text if token.kind == "operator" else ""
        if sign == ")" and depth == 1:
            break
        if sign == "," and depth == 1:
            arguments.append([])
        elif depth:
            arguments[-1].append(token)
        depth += {"(": 1, ")": -1}.get(sign, 0)
    return arguments
