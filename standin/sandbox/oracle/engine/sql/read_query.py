"""Tokens to queries: SELECT, its FROM clause, set operations, WITH."""

from __future__ import annotations

from dataclasses import replace

from sandbox.oracle.engine.sql.read_expression import ExpressionReader
from sandbox.oracle.engine.sql.syntax import (
    Expression,
    Item,
    Join,
    Literal,
    NamedQuery,
    Order,
    Query,
    QuerySource,
    Select,
    SetQuery,
    Source,
    Star,
    TableSource,
)
from sandbox.oracle.engine.sql.tokens import Kind
from sandbox.oracle.interface import DbType

_AFTER_SOURCE = frozenset(
    {"WHERE", "GROUP", "ORDER", "HAVING", "UNION", "MINUS", "INTERSECT", "JOIN", "INNER", "LEFT", "RIGHT"}
    | {
        "FULL",
        "CROSS",
        "NATURAL",
        "ON",
        "USING",
        "FETCH",
        "OFFSET",
        "FOR",
        "SET",
        "VALUES",
        "WHEN",
        "CONNECT",
    }
    | {"START", "SELECT", "RETURNING", "AS", "FROM", "RETURN", "IN"}
)


class QueryReader(ExpressionReader):
    """Reads queries."""

    def query(self) -> Query:
        """Read a query with its set operations, order and limits."""
        named = self._named() if self.accept("WITH") else ()
        result = self._operand()
        while self.is_word("UNION", "MINUS", "INTERSECT"):
            word = self.advance().text
            if word == "UNION" and self.accept("ALL"):
                word = "UNION ALL"
            result = SetQuery(word, result, self._operand())
        order: tuple[Order, ...] = ()
        if self.accept("ORDER", "BY"):
            order = self.order_items()
        offset, limit = self._limits()
        if order or offset or limit or named:
            result = replace(result, order=order, offset=offset, limit=limit, named=named)
        if self.accept("FOR", "UPDATE"):
            result = self._for_update(result)
        return result

    def _named(self) -> tuple[NamedQuery, ...]:
        named = []
        while True:
            name = self.name()
            columns = self.names() if self.is_sign("(") else ()
            self.expect("AS")
            self.expect_sign("(")
            named.append(NamedQuery(name, self.query(), columns))
            self.expect_sign(")")
            if not self.accept_sign(","):
                return tuple(named)

    def _operand(self) -> Query:
        if self.accept_sign("("):
            inner = self.query()
            self.expect_sign(")")
            return inner
        return self._block()

    def _limits(self) -> tuple[Expression | None, Expression | None]:
        offset = limit = None
        if self.accept("OFFSET"):
            offset = self.expression()
            if not self.accept("ROWS"):
                self.expect("ROW")
        if self.accept("FETCH"):
            if not self.accept("FIRST"):
                self.expect("NEXT")
            one = Literal(b"\xc1\x02", DbType.NUMBER)
            limit = one if self.is_word("ROW", "ROWS") else self.expression()
            if not self.accept("ROWS"):
                self.expect("ROW")
            self.expect("ONLY")
        return offset, limit

    def _for_update(self, query: Query) -> Query:
        if self.accept("OF"):
            self.expressions()
        no_wait = self.accept("NOWAIT")
        skip_locked = self.accept("SKIP", "LOCKED")
        wait = ""
        if self.accept("WAIT"):
            if self.token.kind is not Kind.NUMBER:
                raise self.fault(30005, "missing or invalid WAIT interval")
            wait = self.advance().text
        if not isinstance(query, Select):
            raise self.fault(1786, "FOR UPDATE of this query expression is not allowed")
        return replace(query, for_update=True, no_wait=no_wait, skip_locked=skip_locked, wait=wait)

    def _block(self) -> Query:
        if not self.accept("SELECT"):
            raise self.fault(928, "missing SELECT keyword")
        distinct = self.accept("DISTINCT") or self.accept("UNIQUE")
        if not distinct:
            self.accept("ALL")
        items = [self._item()]
        while self.accept_sign(","):
            items.append(self._item())
        if not self.accept("FROM"):
            raise self.fault(923, "FROM keyword not found where expected")
        sources = [self.source()]
        while self.accept_sign(","):
            sources.append(self.source())
        where = self.condition() if self.accept("WHERE") else None
        if self.is_word("CONNECT", "START"):
            raise self.fault(900, "hierarchical queries are not simulated")
        group: tuple[Expression, ...] = ()
        if self.accept("GROUP", "BY"):
            group = self.expressions()
        having = self.condition() if self.accept("HAVING") else None
        return Select(tuple(items), tuple(sources), distinct, where, group, having)

    def _item(self) -> Item:
        start = self.token.at
        expression = self.condition()
        last = self.tokens[self.at - 1]
        end = self.token.at if self.token.kind is not Kind.END else len(self.text)
        text = self.text[start:end].strip().rstrip(",").strip()
        if isinstance(expression, Star):
            return Item(expression, None, "*")
        if self.accept("AS"):
            return Item(expression, self.name(), text)
        if last is not self.token and (
            self.token.kind is Kind.QUOTED
            or (self.token.kind is Kind.NAME and self.token.text not in ("FROM", "BULK", "INTO"))
        ):
            return Item(expression, self.name(), text)
        return Item(expression, None, text)

    def source(self) -> Source:
        """Read one entry of FROM with the ANSI joins behind it."""
        left = self._simple_source()
        while True:
            kind = self._join_kind()
            if kind is None:
                return left
            right = self._simple_source()
            on: Expression | None = None
            using: tuple[str, ...] = ()
            if kind != "cross":
                if self.accept("USING"):
                    using = self.names()
                else:
                    self.expect("ON")
                    on = self.condition()
            left = Join(kind, left, right, on, using)

    def _join_kind(self) -> str | None:
        if self.accept("CROSS", "JOIN"):
            return "cross"
        if self.accept("JOIN") or self.accept("INNER", "JOIN"):
            return "inner"
        for word in ("LEFT", "RIGHT", "FULL"):
            if self.accept(word, "OUTER", "JOIN") or self.accept(word, "JOIN"):
                return word.lower()
        return None

    def _simple_source(self) -> Source:
        if self.accept_sign("("):
            if self.is_word("SELECT", "WITH") or self.is_sign("("):
                query = self.query()
                self.expect_sign(")")
                return QuerySource(query, self._alias() or "")
            inner = self.source()
            self.expect_sign(")")
            return inner
        if self.is_word("TABLE") and self.look(1).text == "(":
            raise self.fault(900, "table functions are not simulated")
        return self.table()

    def table(self) -> TableSource:
        """Read a table name with AS OF SCN and alias."""
        owner: str | None = None
        if self.token.kind not in (Kind.NAME, Kind.QUOTED):
            raise self.fault(903, "invalid table name")
        name = self.name()
        if self.accept_sign("."):
            owner, name = name, self.name()
        as_of = None
        if self.accept("AS", "OF"):
            if not self.accept("SCN"):
                raise self.fault(900, "only AS OF SCN is simulated")
            as_of = self.expression()
        return TableSource(owner, name, self._alias() or name, as_of)

    def _alias(self) -> str | None:
        if self.accept("AS"):
            return self.name()
        if self.token.kind is Kind.QUOTED or (
            self.token.kind is Kind.NAME and self.token.text not in _AFTER_SOURCE
        ):
            return self.name()
        return None

    def names(self) -> tuple[str, ...]:
        """Read identifiers in parentheses."""
        self.expect_sign("(")
        names = [self.name()]
        while self.accept_sign(","):
            names.append(self.name())
        self.expect_sign(")")
        return tuple(names)
