"""Text to an `ArrayBlock`: what `array_blocks` runs.

References to arrays in a SQL statement become binds, as PL/SQL does it itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from sandbox.oracle.engine.sql.tokens import Kind, Token, TokenReader
from sandbox.oracle.interface import DbType, OracleFault

_TYPES = {"VARCHAR2": DbType.VARCHAR2, "NUMBER": DbType.NUMBER, "DATE": DbType.DATE}
_DML = ("INSERT", "UPDATE", "DELETE")
_MAX_TEXT = 32767


@dataclass(frozen=True)
class TableType:
    """TABLE OF `type` INDEX BY an integer; `size` in bytes, 0 for other than text."""

    type: DbType
    size: int


@dataclass(frozen=True)
class Forall:
    """FORALL i IN 1 .. `counted`.COUNT: the statement with a bind for each of `arrays`, in order."""

    at: int
    counted: str
    statement: str
    arrays: tuple[str, ...]


@dataclass(frozen=True)
class Commit:
    """COMMIT."""

    at: int


@dataclass(frozen=True)
class Rollback:
    """ROLLBACK."""

    at: int


@dataclass(frozen=True)
class Raise:
    """RAISE of what was caught."""

    at: int


@dataclass(frozen=True)
class RaiseOwn:
    """RAISE_APPLICATION_ERROR."""

    at: int
    number: int
    message: str


@dataclass(frozen=True)
class IfCounts:
    """IF SQL%ROWCOUNT <> `array`.COUNT THEN."""

    at: int
    array: str
    steps: tuple[Step, ...]


Step = Forall | Commit | Rollback | Raise | RaiseOwn | IfCounts


@dataclass
class ArrayBlock:
    """A block with one procedure and its one call; `arguments` are names of binds."""

    text: str
    parameters: dict[str, TableType] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    handler: tuple[Step, ...] | None = None
    arguments: tuple[str, ...] = ()
    call_at: int = 0

    def line(self, at: int) -> int:
        """Line of an offset, from 1."""
        return self.text.count("\n", 0, at) + 1

    def every_step(self) -> Iterator[Step]:
        """All steps, nested ones included."""
        waiting = [*self.steps, *(self.handler or ())]
        while waiting:
            step = waiting.pop(0)
            yield step
            if isinstance(step, IfCounts):
                waiting += step.steps


def compile_fault(text: str, at: int, what: str) -> OracleFault:
    """ORA-06550 at an offset."""
    before = text[:at]
    line, column = before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1
    return OracleFault(6550, f"line {line}, column {column}:\n{what}")


@lru_cache(maxsize=64)
def read_block(text: str) -> ArrayBlock:
    """Read a block; kept, as Oracle keeps what it compiled.

    Raises:
        OracleFault: ORA-06550 for anything that is not simulated.
    """
    return _Reader(text).block()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._reader = TokenReader(text)
        self._types: dict[str, TableType] = {}

    def _unknown(self, token: Token | None = None) -> OracleFault:
        at = (token or self._reader.token).at
        return compile_fault(self._text, at, f"PLS-00103: not simulated: {self._text[at : at + 80]}")

    def _expect(self, *words: str) -> None:
        for word in words:
            token = self._reader.advance()
            if token.text != word or token.kind in (Kind.STRING, Kind.BIND):
                raise self._unknown(token)

    def _name(self) -> str:
        if self._reader.token.kind is not Kind.NAME:
            raise self._unknown()
        return self._reader.advance().text

    def _array(self, block: ArrayBlock) -> str:
        at = self._reader.token
        name = self._name()
        if name not in block.parameters:
            raise compile_fault(self._text, at.at, f"PLS-00201: identifier '{name}' must be declared")
        return name

    def block(self) -> ArrayBlock:
        block = ArrayBlock(self._text)
        self._expect("DECLARE")
        while self._reader.accept("TYPE"):
            self._type()
        self._expect("PROCEDURE")
        name = self._name()
        self._parameters(block)
        self._expect("IS", "BEGIN")
        block.steps = self._steps(block)
        if self._reader.accept("EXCEPTION"):
            self._expect("WHEN", "OTHERS", "THEN")
            block.handler = self._steps(block)
        self._expect("END")
        self._reader.accept(name)
        self._expect(";", "BEGIN")
        block.call_at = self._reader.token.at
        self._expect(name, "(")
        block.arguments = self._arguments()
        self._expect(";", "END", ";")
        if self._reader.token.kind is not Kind.END:
            raise self._unknown()
        return block

    def _type(self) -> None:
        name = self._name()
        self._expect("IS", "TABLE", "OF")
        of = self._reader.token
        element = _TYPES.get(self._name())
        size = 0
        if element is None:
            raise self._unknown(of)
        if element is DbType.VARCHAR2:
            self._expect("(")
            size = int(self._reader.advance().text)
            if not 0 < size <= _MAX_TEXT:
                raise compile_fault(
                    self._text, of.at, "PLS-00215: String length constraints must be in range (1 .. 32767)"
                )
            self._expect(")")
        self._expect("INDEX", "BY")
        if not self._reader.accept("BINARY_INTEGER"):
            self._expect("PLS_INTEGER")
        self._expect(";")
        self._types[name] = TableType(element, size)

    def _parameters(self, block: ArrayBlock) -> None:
        self._expect("(")
        while True:
            name, of = self._name(), self._reader.token
            table_type = self._types.get(self._name())
            if table_type is None:
                raise compile_fault(self._text, of.at, f"PLS-00201: identifier '{of.text}' must be declared")
            block.parameters[name] = table_type
            if not self._reader.accept_sign(","):
                break
        self._expect(")")

    def _arguments(self) -> tuple[str, ...]:
        found = []
        while True:
            if self._reader.token.kind is not Kind.BIND:
                raise self._unknown()
            found.append(self._reader.advance().text)
            if not self._reader.accept_sign(","):
                break
        self._expect(")")
        return tuple(found)

    def _steps(self, block: ArrayBlock) -> tuple[Step, ...]:
        found: list[Step] = []
        while not self._reader.is_word("END", "EXCEPTION"):
            found.append(self._step(block))
            self._expect(";")
        return tuple(found)

    def _step(self, block: ArrayBlock) -> Step:
        at = self._reader.token.at
        if self._reader.accept("FORALL"):
            return self._forall(block, at)
        if self._reader.accept("IF"):
            self._expect("SQL", "%", "ROWCOUNT", "<>")
            array = self._array(block)
            self._expect(".", "COUNT", "THEN")
            steps = self._steps(block)
            self._expect("END", "IF")
            return IfCounts(at, array, steps)
        if self._reader.accept("RAISE_APPLICATION_ERROR"):
            self._expect("(", "-")
            number = -int(self._reader.advance().text)
            self._expect(",")
            message = self._reader.advance()
            self._expect(")")
            if message.kind is not Kind.STRING:
                raise self._unknown(message)
            return RaiseOwn(at, number, message.text)
        for word, kind in (("COMMIT", Commit), ("ROLLBACK", Rollback), ("RAISE", Raise)):
            if self._reader.accept(word):
                return kind(at)
        raise self._unknown()

    def _forall(self, block: ArrayBlock, at: int) -> Forall:
        index = self._name()
        self._expect("IN", "1", "..")
        counted = self._array(block)
        self._expect(".", "COUNT")
        if not self._reader.is_word(*_DML):
            raise self._unknown()
        statement, arrays, copied = "", [], self._reader.token.at
        while not self._reader.is_sign(";"):
            token = self._reader.advance()
            if token.kind is Kind.END or token.kind is Kind.BIND:
                raise self._unknown(token)
            if token.kind is Kind.NAME and token.text in block.parameters:
                self._expect("(", index)
                end = self._reader.token.at + 1
                self._expect(")")
                arrays.append(token.text)
                statement += self._text[copied : token.at] + f":B{len(arrays)}"
                copied = end
        statement += self._text[copied : self._reader.token.at]
        return Forall(at, counted, statement, tuple(arrays))
