"""Tokens to expressions and conditions, by recursive descent.

Conditions and values share one tree; which is allowed where is checked when it is compiled.
"""

from __future__ import annotations

from abc import abstractmethod
from decimal import Decimal

from sandbox.oracle import cells
from sandbox.oracle.engine.sql.syntax import (
    Between,
    Binary,
    BindRef,
    Call,
    Case,
    Cast,
    ColumnRef,
    Compare,
    Exists,
    Expression,
    InList,
    InQuery,
    IsNull,
    Like,
    Literal,
    Logical,
    Negate,
    Not,
    Order,
    Query,
    RowValue,
    Star,
    Subquery,
    TypeName,
    Window,
)
from sandbox.oracle.engine.sql.tokens import Kind, TokenReader
from sandbox.oracle.interface import DbType

NULL = Literal(None, DbType.VARCHAR2)

_NO_PARENTHESES = frozenset(
    {"SYSDATE", "SYSTIMESTAMP", "CURRENT_DATE", "CURRENT_TIMESTAMP", "LOCALTIMESTAMP", "USER", "UID"}
    | {"DBTIMEZONE", "SESSIONTIMEZONE"}
)
_NOT_A_NAME = frozenset(
    {"SELECT", "FROM", "WHERE", "GROUP", "ORDER", "HAVING", "UNION", "AND", "OR", "SET", "VALUES", "INTO"}
    | {"BY", "ON", "THEN", "ELSE", "END", "WHEN", "IS", "IN", "LIKE", "BETWEEN"}
)

_TYPE_WORDS = {
    "LONG": ("RAW", "VARCHAR"),
    "DOUBLE": ("PRECISION",),
    "NATIONAL": ("CHARACTER", "CHAR"),
    **dict.fromkeys(("CHARACTER", "CHAR", "NCHAR"), ("VARYING",)),
}
"""Words that may follow one another in the name of a type."""


class ExpressionReader(TokenReader):
    """Reads values and conditions."""

    @abstractmethod
    def query(self) -> Query:
        """Read a query (inside the parentheses of a subquery)."""

    def condition(self) -> Expression:
        """Read OR and everything that binds stronger."""
        items = [self._conjunction()]
        while self.accept("OR"):
            items.append(self._conjunction())
        return items[0] if len(items) == 1 else Logical("OR", tuple(items))

    def _conjunction(self) -> Expression:
        items = [self._negation()]
        while self.accept("AND"):
            items.append(self._negation())
        return items[0] if len(items) == 1 else Logical("AND", tuple(items))

    def _negation(self) -> Expression:
        if self.accept("NOT"):
            return Not(self._negation())
        return self._predicate()

    def _predicate(self) -> Expression:
        if self.is_word("EXISTS") and self.look(1).text == "(":
            self.advance()
            self.expect_sign("(")
            query = self.query()
            self.expect_sign(")")
            return Exists(query)
        left = self.expression()
        if self.is_sign("=", "<>", "<", "<=", ">", ">="):
            sign = self.advance().text
            return Compare(sign, left, self.expression())
        if self.accept("IS"):
            negated = self.accept("NOT")
            self.expect("NULL")
            return Not(IsNull(left)) if negated else IsNull(left)
        negated = self.accept("NOT")
        test = self._test(left)
        if test is None:
            if negated:
                raise self.fault(920, "invalid relational operator")
            return left
        return Not(test) if negated else test

    def _test(self, left: Expression) -> Expression | None:
        if self.accept("BETWEEN"):
            low = self.expression()
            self.expect("AND")
            return Between(left, low, self.expression())
        if self.accept("LIKE"):
            pattern = self.expression()
            return Like(left, pattern, self.expression() if self.accept("ESCAPE") else None)
        if not self.accept("IN"):
            return None
        if not self.is_sign("("):
            return InList(left, (self.expression(),))
        self.expect_sign("(")
        if self.is_word("SELECT", "WITH"):
            query = self.query()
            self.expect_sign(")")
            return InQuery(left, query)
        items = self.expressions()
        self.expect_sign(")")
        return InList(left, items)

    def expressions(self) -> tuple[Expression, ...]:
        """Read values separated by commas."""
        items = [self.expression()]
        while self.accept_sign(","):
            items.append(self.expression())
        return tuple(items)

    def expression(self) -> Expression:
        """Read a value: + - || and what binds stronger."""
        left = self._product()
        while self.is_sign("+", "-", "||"):
            left = Binary(self.advance().text, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._factor()
        while self.is_sign("*", "/"):
            left = Binary(self.advance().text, left, self._factor())
        return left

    def _factor(self) -> Expression:
        if self.accept_sign("-"):
            return Negate(self._factor())
        if self.accept_sign("+"):
            return self._factor()
        return self._primary()

    def _primary(self) -> Expression:
        value = self._simple()
        while self.accept("AT", "TIME", "ZONE"):
            value = Call("AT TIME ZONE", (value, self._simple()))
        return value

    def _simple(self) -> Expression:
        token = self.token
        if token.kind is Kind.STRING:
            self.advance()
            return Literal(token.text.encode() or None, DbType.CHAR)
        if token.kind is Kind.NUMBER:
            self.advance()
            return Literal(cells.encode_number(Decimal(token.text)), DbType.NUMBER)
        if token.kind is Kind.BIND:
            self.advance()
            self.bind_count += 1
            return BindRef(self.bind_count - 1, token.text)
        if self.accept_sign("("):
            return self._parenthesised()
        if self.accept_sign("*"):
            return Star()
        if token.kind is Kind.NAME:
            if token.text == "CASE":
                return self._case()
            if token.text == "NULL":
                self.advance()
                return NULL
            if token.text in ("DATE", "TIMESTAMP") and self.look(1).kind is Kind.STRING:
                return self._dated_literal()
            if token.text == "INTERVAL" and self.look(1).kind is Kind.STRING:
                return self._interval_literal()
            if token.text == "CAST" and self.look(1).text == "(":
                return self._cast()
            if token.text == "EXTRACT" and self.look(1).text == "(":
                return self._extract()
            if token.text in _NOT_A_NAME:
                raise self.fault(936, "missing expression")
        if token.kind in (Kind.NAME, Kind.QUOTED):
            return self._name_or_call()
        raise self.fault(936, "missing expression")

    def _parenthesised(self) -> Expression:
        if self.is_word("SELECT", "WITH"):
            query = self.query()
            self.expect_sign(")")
            return Subquery(query)
        items = [self.condition()]
        while self.accept_sign(","):
            items.append(self.condition())
        self.expect_sign(")")
        return items[0] if len(items) == 1 else RowValue(tuple(items))

    def _dated_literal(self) -> Expression:
        word, text = self.advance().text, self.advance().text
        form = "YYYY-MM-DD" if word == "DATE" else "YYYY-MM-DD HH24:MI:SS.FF9"
        name = "TO_DATE" if word == "DATE" else "TO_TIMESTAMP"
        return Call(name, (Literal(text.strip().encode(), DbType.CHAR), Literal(form.encode(), DbType.CHAR)))

    def _case(self) -> Expression:
        self.advance()
        operand = None if self.is_word("WHEN") else self.expression()
        branches = []
        while self.accept("WHEN"):
            test = self.condition() if operand is None else self.expression()
            self.expect("THEN")
            branches.append((test, self.expression()))
        otherwise = self.expression() if self.accept("ELSE") else None
        self.expect("END")
        return Case(operand, tuple(branches), otherwise)

    def _cast(self) -> Expression:
        self.advance()
        self.expect_sign("(")
        operand = self.expression()
        self.expect("AS")
        type_name = self.type_name()
        self.expect_sign(")")
        return Cast(operand, type_name)

    def _extract(self) -> Expression:
        self.advance()
        self.expect_sign("(")
        part = self.name()
        self.expect("FROM")
        operand = self.expression()
        self.expect_sign(")")
        return Call("EXTRACT", (Literal(part.encode(), DbType.CHAR), operand))

    def _name_or_call(self) -> Expression:
        parts = [self.name()]
        while self.is_sign(".") and self.look(1).kind is not Kind.SIGN:
            self.advance()
            parts.append(self.name())
        if self.is_sign(".") and self.look(1).text == "*":
            self.at += 2
            return Star(parts[-1])
        if self.is_sign("("):
            return self._call(".".join(parts))
        if len(parts) == 1 and parts[0] in _NO_PARENTHESES and self.tokens[self.at - 1].kind is Kind.NAME:
            return Call(parts[0], ())
        return ColumnRef(tuple(parts), outer=self.accept_sign("(+)"))

    def _call(self, name: str) -> Expression:
        self.expect_sign("(")
        distinct = self.accept("DISTINCT") or self.accept("UNIQUE")
        args: list[Expression] = []
        if name == "TRIM":
            args = self._trim_arguments()
        elif not self.is_sign(")"):
            args.append(self.condition())
            while self.accept_sign(","):
                args.append(self.condition())
        self.expect_sign(")")
        if self.accept("WITHIN", "GROUP"):
            self.expect_sign("(")
            self.expect("ORDER", "BY")
            (item,) = self.order_items()
            if item.expression != args[0] or item.descending or item.nulls_first is not None:
                raise self.fault(900, "LISTAGG in another order than that of its values is not simulated")
            self.expect_sign(")")
        return Call(name, tuple(args), distinct, self._window() if self.accept("OVER") else None)

    def _trim_arguments(self) -> list[Expression]:
        side = next((word for word in ("LEADING", "TRAILING", "BOTH") if self.accept(word)), "BOTH")
        marks: Expression = Literal(b" ", DbType.CHAR)
        if self.accept("FROM"):
            operand = self.expression()
        else:
            operand = self.expression()
            if self.accept("FROM"):
                marks, operand = operand, self.expression()
        return [operand, marks, Literal(side.encode(), DbType.CHAR)]

    def _window(self) -> Window:
        self.expect_sign("(")
        partition: tuple[Expression, ...] = ()
        if self.accept("PARTITION", "BY"):
            partition = self.expressions()
        order: tuple[Order, ...] = ()
        if self.accept("ORDER", "BY"):
            order = self.order_items()
        self.expect_sign(")")
        return Window(partition, order)

    def order_items(self) -> tuple[Order, ...]:
        """Read the items behind ORDER BY."""
        items = []
        while True:
            expression = self.expression()
            descending = self.accept("DESC")
            if not descending:
                self.accept("ASC")
            nulls_first: bool | None = None
            if self.accept("NULLS", "FIRST"):
                nulls_first = True
            elif self.accept("NULLS", "LAST"):
                nulls_first = False
            items.append(Order(expression, descending, nulls_first))
            if not self.accept_sign(","):
                return tuple(items)

    def type_name(self) -> TypeName:
        """Read a type with its numbers; a number that is not given among others is -1."""
        word = self.name()
        if word == "INTERVAL":
            return self._interval_type()
        if word == "SYS" and self.accept_sign("."):
            word = self.name()
        words = [word]
        while self.is_word(*_TYPE_WORDS.get(words[-1], ())):
            words.append(self.advance().text)
        numbers, unit = self._type_numbers()
        if word == "TIMESTAMP" and self.accept("WITH"):
            words += ["WITH", "LOCAL"] if self.accept("LOCAL") else ["WITH"]
            self.expect("TIME", "ZONE")
            words += ["TIME", "ZONE"]
        return TypeName(" ".join(words), numbers, unit)

    def _type_numbers(self) -> tuple[tuple[int, ...], str]:
        numbers: list[int] = []
        unit = ""
        if not self.accept_sign("("):
            return (), ""
        while not self.is_sign(")"):
            if self.accept_sign("*"):
                numbers.append(38)
            elif self.accept_sign("-"):
                numbers.append(-self._whole())
            elif self.is_word("CHAR", "BYTE"):
                unit = self.advance().text
            elif self.token.kind is Kind.NUMBER:
                numbers.append(self._whole())
            elif not self.accept_sign(","):
                raise self.fault(907, "missing right parenthesis")
        self.expect_sign(")")
        return tuple(numbers), unit

    def _whole(self) -> int:
        text = self.token.text
        if self.token.kind is not Kind.NUMBER or not text.isdigit():
            raise self.fault(2017, "integer value required")
        self.advance()
        return int(text)

    def _interval_type(self) -> TypeName:
        """INTERVAL { YEAR [(n)] TO MONTH | DAY [(n)] TO SECOND [(n)] }."""
        years = self.accept("YEAR")
        if not years:
            self.expect("DAY")
        leading = self._type_numbers()[0] or (-1,)
        self.expect("TO", "MONTH" if years else "SECOND")
        if years:
            return TypeName("INTERVAL YEAR TO MONTH", leading, "")
        return TypeName("INTERVAL DAY TO SECOND", (*leading, *(self._type_numbers()[0] or (-1,))), "")

    def _interval_literal(self) -> Expression:
        """INTERVAL '1-2' YEAR TO MONTH, INTERVAL '5' HOUR and the like; the text is read when it runs."""
        self.advance()
        text, first = self.advance().text, self.name()
        self._type_numbers()
        last = first
        if self.accept("TO"):
            last = self.name()
            self._type_numbers()
        parts = (text, first, last)
        return Call("INTERVAL", tuple(Literal(part.encode() or None, DbType.CHAR) for part in parts))
