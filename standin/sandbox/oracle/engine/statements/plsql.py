"""PL/SQL blocks: a list of known statements between BEGIN and END, no language.

Known are calls of the packages in `packages`, plain SQL with binds, `:out := expression`, `open :cursor for
query`, NULL, EXECUTE IMMEDIATE of a constant text, and RAISE_APPLICATION_ERROR. Anything else is ORA-06550
with its text in the log.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence

from sandbox.oracle import cells
from sandbox.oracle.engine.functions.conversions import to_number, to_text
from sandbox.oracle.engine.functions.expressions import Expr, Scope, literal
from sandbox.oracle.engine.plan.compiler import Compiler
from sandbox.oracle.engine.plan.prepare import Finder, bind_type
from sandbox.oracle.engine.plan.query import QueryPlanner
from sandbox.oracle.engine.sql.read_statement import StatementReader
from sandbox.oracle.engine.sql.syntax import ColumnRef, Expression
from sandbox.oracle.engine.sql.tokens import Kind, Token, tokenize
from sandbox.oracle.engine.state.context import Session
from sandbox.oracle.engine.statements import array_blocks, declared, lob_blocks, packages
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.interface import Bind, Cell, CheckCancel, OracleFault, Outcome

log = logging.getLogger("sandbox.oracle")
_BLOCK = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:begin|declare|call)\b", re.IGNORECASE | re.DOTALL)
_BULK = re.compile(r"\s*declare\s+type\b", re.IGNORECASE)
_SQL = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "COMMIT", "ROLLBACK", "SAVEPOINT", "LOCK", "SET"})


def is_block(text: str) -> bool:
    """Is a statement PL/SQL?"""
    return _BLOCK.match(text) is not None


def run(
    session: Session,
    text: str,
    binds: Sequence[Bind],
    rows: Sequence[Sequence[Cell | list[Cell]]],
    check: CheckCancel,
) -> Outcome:
    """Run a block once per row of binds; each name is bound once.

    Raises:
        OracleFault: ORA-06550 for a statement that is not simulated.
    """
    outcome = Outcome()
    for row in rows or [()]:
        values: list[Cell | list[Cell]] = list(row) + [None] * (len(binds) - len(row))
        opened = declared.run(session, text, binds, values, check)
        if opened is not None:
            return opened
        block = _Block(session, text, binds, values, check)
        changed = lob_blocks.run(session, text, binds, values, block.argument, check)
        if changed is not None:
            return changed
        transaction = session.transaction
        mark = len(transaction.changes) if transaction else 0
        try:
            block.run()
        except OracleFault:
            if session.transaction:  # what the block changed since its last COMMIT or ROLLBACK
                session.storage.undo_to(
                    session.transaction, mark if session.transaction is transaction else 0
                )
            raise
        outcome.outs = block.outs
        outcome.row_count = block.row_count
    return outcome


class _Block:
    def __init__(
        self,
        session: Session,
        text: str,
        binds: Sequence[Bind],
        values: list[Cell | list[Cell]],
        check: CheckCancel,
    ) -> None:
        self.session, self.text, self.binds, self.values, self.check = session, text, binds, values, check
        self.names = {bind.name.upper(): at for at, bind in enumerate(binds)}
        self.outs: dict[int, Cell | list[Cell] | Outcome] = {}
        self.row_count = 0
        self.occurrences: list[str] = []

    def unknown(self, statement: str) -> OracleFault:
        """ORA-06550, with the statement in the log."""
        log.warning("PL/SQL that is not simulated: %s", statement)
        return OracleFault(6550, f"line 1, column 1:\nPLS-00103: not simulated: {statement[:120]}")

    def run(self) -> None:
        """Run its statements in order."""
        if _BULK.match(self.text):
            array_blocks.run(self.session, self.text, self.binds, self.values, self.check)
            return
        for statement in _statements(self.text, self):
            words = tokenize(statement)
            first = words[0]
            if first.kind is Kind.NAME and first.text == "NULL":
                continue
            if first.kind is Kind.NAME and first.text in _SQL:
                self._sql(statement, words)
            elif first.kind is Kind.NAME and first.text == "EXECUTE" and words[1].text == "IMMEDIATE":
                if words[2].kind is not Kind.STRING:
                    raise self.unknown(statement)
                self.session.execute(words[2].text, (), (), check_cancel=self.check)
            elif first.kind is Kind.NAME and first.text == "OPEN" and words[2].text == "FOR":
                self._open(statement, words)
            elif first.kind is Kind.BIND:
                self._assign(statement)
            else:
                self._call(statement)

    def _sql(self, statement: str, words: Sequence[Token]) -> None:
        self.row_count = self._run_sql(statement, words).row_count

    def _run_sql(self, statement: str, words: Sequence[Token]) -> Outcome:
        names = [word.text for word in words if word.kind is Kind.BIND]
        binds, row = [], []
        for name in names:
            at = self._place(name)
            binds.append(self.binds[at])
            row.append(self.values[at])
        return self.session.execute(statement, binds, [row] if row else (), check_cancel=self.check)

    def _open(self, statement: str, words: Sequence[Token]) -> None:
        """OPEN :cursor FOR query."""
        if words[1].kind is not Kind.BIND or words[3].text not in ("SELECT", "WITH", "("):
            raise self.unknown(statement)
        self.outs[self._place(words[1].text)] = self._run_sql(statement[words[3].at :], words[3:])

    def _place(self, name: str) -> int:
        if name in self.names:
            return self.names[name]
        if name.isdigit() and 0 < int(name) <= len(self.binds):
            return int(name) - 1
        raise OracleFault(1008, "not all variables bound")

    def _compile(self, reader: StatementReader) -> Expr:
        return self.expr(reader.expression())

    def expr(self, node: Expression) -> Expr:
        """Compile an expression in which package constants and binds may occur."""
        kinds = []
        for name in self.occurrences:
            kinds.append(bind_type(self.binds[self._place(name)]))
        scope = Scope(binds=kinds)
        for word, truth in (("TRUE", 1), ("FALSE", 0)):
            scope.substitutes[ColumnRef((word,))] = literal(cells.encode_number(truth), sql_types.NUMBER)
        for parts, value in packages.CONSTANTS.items():
            for prefix in ((), ("SYS",)):
                scope.substitutes[ColumnRef((*prefix, *parts))] = literal(
                    cells.encode_number(value), sql_types.NUMBER
                )
        return Compiler(scope, QueryPlanner(Finder(self.session), kinds, frozenset())).value(node)

    def argument(self, text: str) -> Cell:
        """Value of an argument as it is written."""
        reader = StatementReader(text)
        self.occurrences = [word.text for word in reader.tokens if word.kind is Kind.BIND]
        return self.evaluate(self._compile(reader))

    def evaluate(self, expr: Expr) -> Cell:
        """Value of a compiled expression."""
        row: list[Cell] = []
        for name in self.occurrences:
            value = self.values[self._place(name)]
            row.append(None if isinstance(value, list) else value)
        return expr.run((), self.session.env(row, self.check))

    def _assign(self, statement: str) -> None:
        reader = StatementReader(statement)
        name = reader.advance().text
        if not reader.accept_sign(":="):
            raise self.unknown(statement)
        self.occurrences = [word.text for word in reader.tokens if word.kind is Kind.BIND][1:]
        at = self._place(name)
        value = self._compile(reader)
        if not reader.is_end():
            raise self.unknown(statement)
        family = bind_type(self.binds[at]).family
        if family == "number":
            value = to_number(value)
        elif family == "text":
            value = to_text(value)
        self.outs[at] = self.values[at] = self.evaluate(value)

    def _call(self, statement: str) -> None:
        reader = StatementReader(statement)
        self.occurrences = [word.text for word in reader.tokens if word.kind is Kind.BIND]
        parts = [reader.name()]
        while reader.accept_sign("."):
            parts.append(reader.name())
        procedure = packages.PROCEDURES.get(".".join(parts).removeprefix("SYS."))
        if procedure is None:
            raise self.unknown(statement)
        given: dict[str, Cell] = {}
        if reader.accept_sign("("):
            for at in range(len(reader.tokens)):
                if reader.is_sign(")"):
                    break
                name = procedure.parameters[at] if at < len(procedure.parameters) else ""
                if reader.look(1).text == "=>":
                    name = reader.name()
                    reader.expect_sign("=>")
                if name not in procedure.parameters:
                    raise OracleFault(
                        6550, "line 1, column 7:\nPLS-00306: wrong number or types of arguments in call"
                    )
                given[name] = self.evaluate(self._compile(reader))
                if not reader.accept_sign(","):
                    break
            reader.expect_sign(")")
        if not reader.is_end():
            raise self.unknown(statement)
        procedure.action(self.session, packages.Arguments(given))


def _statements(text: str, block: _Block) -> Iterator[str]:
    """Statements between BEGIN and END, or the one behind CALL."""
    words = tokenize(text)
    if words[0].text == "CALL":
        yield text[words[1].at :].strip().rstrip(";")
        return
    if words[0].text != "BEGIN":
        raise block.unknown(text)
    at = words[1].at
    depth = 0
    for place, word in enumerate(words[1:], 1):
        if word.kind is Kind.SIGN and word.text in "()":
            depth += 1 if word.text == "(" else -1
        elif word.kind is Kind.NAME and word.text == "END" and words[place - 1].text in (";", "BEGIN"):
            return
        elif word.kind is Kind.NAME and word.text in ("BEGIN", "LOOP", "IF", "EXCEPTION") and depth == 0:
            if words[place - 1].text in (";", "BEGIN"):
                raise block.unknown(text)
        elif word.kind is Kind.SIGN and word.text == ";" and depth == 0:
            yield text[at : word.at].strip()
            at = word.at + 1
    raise OracleFault(6550, 'line 1, column 1:\nPLS-00103: Encountered the symbol "end-of-file"')
