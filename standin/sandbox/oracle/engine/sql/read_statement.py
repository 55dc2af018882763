"""Tokens to statements: DML, transaction control, session settings; the rest is in `read_definition`."""

from __future__ import annotations

from sandbox.oracle.engine.sql.read_definition import DefinitionReader
from sandbox.oracle.engine.sql.syntax import (
    Command,
    Delete,
    Expression,
    Insert,
    Merge,
    RowValue,
    Select,
    SetQuery,
    Statement,
    Subquery,
    Update,
)
from sandbox.oracle.engine.sql.tokens import Kind

Assignments = tuple[tuple[tuple[str, ...], Expression | None], ...]


class StatementReader(DefinitionReader):
    """Reads one statement."""

    def statement(self) -> Statement:
        """Read the whole text.

        Raises:
            OracleFault: ORA-00900 and its class, with the offset in the text.
        """
        result = self._statement()
        if not self.is_end():
            if isinstance(result, Select | SetQuery | Insert | Update | Delete | Merge):
                raise self.fault(933, "SQL command not properly ended")
            raise self.fault(900, "invalid SQL statement")
        return result

    def _statement(self) -> Statement:
        if self.is_word("SELECT", "WITH") or self.is_sign("("):
            return self.query()
        token = self.token
        reader = {
            "INSERT": self._insert,
            "UPDATE": self._update,
            "DELETE": self._delete,
            "MERGE": self._merge,
            "COMMIT": self._commit,
            "ROLLBACK": self._rollback,
            "SAVEPOINT": self._savepoint,
            "SET": self._set_transaction,
            "LOCK": self._lock_table,
            "ALTER": self.alter,
            "CREATE": self.create,
            "DROP": self.drop,
            "TRUNCATE": self.truncate,
            "COMMENT": self.comment,
            "GRANT": self.grant,
            "REVOKE": self.grant,
            "ANALYZE": self._analyze,
            "PURGE": self._purge,
        }.get(token.text if token.kind is Kind.NAME else "")
        if reader is None:
            raise self.fault(900, "invalid SQL statement")
        return reader()

    def _analyze(self) -> Statement:
        """ANALYZE TABLE .. STATISTICS: there are none to gather."""
        self.advance()
        self.expect("TABLE")
        owner, name = self.qualified()
        if not self.any_of("COMPUTE STATISTICS", "ESTIMATE STATISTICS", "DELETE STATISTICS"):
            raise self.fault(905, "missing keyword")
        return Command("ANALYZE", (owner, name))

    def _purge(self) -> Statement:
        """PURGE RECYCLEBIN: there is none, tables are dropped for good."""
        self.advance()
        if not self.any_of("RECYCLEBIN", "DBA_RECYCLEBIN"):
            raise self.fault(38302, "invalid PURGE option")
        return Command("NOTHING", ("PURGE",))

    def _insert(self) -> Statement:
        self.advance()
        self.expect("INTO")
        table = self.table()
        columns: tuple[str, ...] = ()
        if self.is_sign("(") and self.look(1).text != "SELECT":
            columns = self._columns()
        if self.accept("VALUES"):
            return Insert(table, columns, values=self._values(), returning=self._returning())
        return Insert(table, columns, query=self.query())

    def _columns(self) -> tuple[str, ...]:
        self.expect_sign("(")
        names = []
        while True:
            name = self.name()
            while self.accept_sign("."):
                name = self.name()
            names.append(name)
            if not self.accept_sign(","):
                break
        self.expect_sign(")")
        return tuple(names)

    def _values(self) -> tuple[Expression | None, ...]:
        self.expect_sign("(")
        values = [self._value()]
        while self.accept_sign(","):
            values.append(self._value())
        self.expect_sign(")")
        return tuple(values)

    def _value(self) -> Expression | None:
        """A value, or None for DEFAULT."""
        return None if self.accept("DEFAULT") else self.expression()

    def _returning(self) -> tuple[Expression, ...]:
        if not (self.accept("RETURNING") or self.accept("RETURN")):
            return ()
        items = self.expressions()
        self.expect("INTO")
        while True:
            if self.token.kind is not Kind.BIND:
                raise self.fault(925, "missing INTO keyword")
            self.advance()
            if not self.accept_sign(","):
                return items

    def _update(self) -> Statement:
        self.advance()
        table = self.table()
        self.expect("SET")
        assignments = self._assignments()
        where = self.condition() if self.accept("WHERE") else None
        return Update(table, assignments, where, self._returning())

    def _assignments(self) -> Assignments:
        result: list[tuple[tuple[str, ...], Expression | None]] = []
        while True:
            if self.is_sign("("):
                columns = self._columns()
                self.expect_sign("=")
                value: Expression | None = self.expression()
                if not isinstance(value, Subquery | RowValue):
                    raise self.fault(1767, "UPDATE ... SET expression must be a subquery")
            else:
                name = self.name()
                while self.accept_sign("."):
                    name = self.name()
                columns = (name,)
                self.expect_sign("=")
                value = self._value()
            result.append((columns, value))
            if not self.accept_sign(","):
                return tuple(result)

    def _delete(self) -> Statement:
        self.advance()
        self.accept("FROM")
        table = self.table()
        where = self.condition() if self.accept("WHERE") else None
        return Delete(table, where, self._returning())

    def _merge(self) -> Statement:
        self.advance()
        self.expect("INTO")
        table = self.table()
        self.expect("USING")
        source = self.source()
        self.expect("ON")
        self.expect_sign("(")
        on = self.condition()
        self.expect_sign(")")
        assignments: Assignments = ()
        columns: tuple[str, ...] = ()
        values: tuple[Expression | None, ...] = ()
        update_where = delete_where = insert_where = None
        while self.accept("WHEN"):
            if self.accept("MATCHED"):
                self.expect("THEN", "UPDATE", "SET")
                assignments = self._assignments()
                update_where = self.condition() if self.accept("WHERE") else None
                if self.accept("DELETE"):
                    self.expect("WHERE")
                    delete_where = self.condition()
                continue
            self.expect("NOT", "MATCHED", "THEN", "INSERT")
            columns = self._columns() if self.is_sign("(") else ()
            self.expect("VALUES")
            values = self._values()
            insert_where = self.condition() if self.accept("WHERE") else None
        return Merge(
            table, source, on, assignments, update_where, delete_where, columns, values, insert_where
        )

    def _commit(self) -> Statement:
        self.advance()
        self.accept("WORK")
        if self.accept("COMMENT"):
            self.advance()
        if self.accept("WRITE"):
            while (
                self.accept("IMMEDIATE")
                or self.accept("BATCH")
                or self.accept("WAIT")
                or self.accept("NOWAIT")
            ):
                pass
        return Command("COMMIT")

    def _rollback(self) -> Statement:
        self.advance()
        self.accept("WORK")
        if self.accept("TO"):
            self.accept("SAVEPOINT")
            return Command("ROLLBACK TO", (self.name(),))
        return Command("ROLLBACK")

    def _savepoint(self) -> Statement:
        self.advance()
        return Command("SAVEPOINT", (self.name(),))

    def _set_transaction(self) -> Statement:
        self.advance()
        if self.accept("ROLE"):
            if not self.accept("ALL"):
                raise self.fault(900, "only SET ROLE ALL is simulated")
            return Command("NOTHING", ("SET ROLE",))
        self.expect("TRANSACTION")
        options: dict[str, str] = {}
        if self.accept("READ"):
            options["access"] = "read only" if self.accept("ONLY") else "read write"
            self.accept("WRITE")
        elif self.accept("ISOLATION", "LEVEL"):
            options["isolation"] = "serializable" if self.accept("SERIALIZABLE") else "read committed"
            if self.accept("READ"):
                self.expect("COMMITTED")
        if self.accept("NAME"):
            options["name"] = self.advance().text
        return Command("SET TRANSACTION", (), options)

    def _lock_table(self) -> Statement:
        self.advance()
        self.expect("TABLE")
        table = self.table()
        self.expect("IN")
        words = []
        while not self.accept("MODE"):
            words.append(self.name())
        options = {"mode": " ".join(words)}
        if self.accept("NOWAIT"):
            options["nowait"] = "yes"
        elif self.accept("WAIT"):
            options["wait"] = str(self.whole_number())
        return Command("LOCK TABLE", (table.owner, table.name), options)
