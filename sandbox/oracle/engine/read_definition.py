"""Tokens to definitions: CREATE, ALTER, DROP, GRANT and their kin.

Read next: `ddl` (what they do).
"""

from __future__ import annotations

from sandbox.oracle.engine.read_account import AccountReader
from sandbox.oracle.engine.syntax import (
    AlterTable,
    ColumnDefinition,
    Command,
    Constraint,
    CreateIndex,
    CreateTable,
    Statement,
    Supplemental,
)

_CONSTRAINT_WORDS = ("CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "SUPPLEMENTAL")


class DefinitionReader(AccountReader):
    """Reads DDL and DCL."""

    def create(self) -> Statement:
        """Read CREATE."""
        self.advance()
        if self.accept("OR"):
            self.expect("REPLACE")
        temporary = self.accept("GLOBAL", "TEMPORARY") or self.accept("PRIVATE", "TEMPORARY")
        if self.accept("TABLE"):
            return self._create_table(temporary)
        unique = self.accept("UNIQUE")
        if unique or self.is_word("INDEX", "BITMAP"):
            self.accept("BITMAP")
            self.expect("INDEX")
            return self._create_index(unique)
        if self.accept("SEQUENCE"):
            return self._create_sequence()
        account = self.create_account()
        if account is not None:
            return account
        self.accept("PUBLIC")
        if self.accept("SYNONYM"):
            owner, name = self.qualified()
            self.expect("FOR")
            target_owner, target = self.qualified()
            return Command("CREATE SYNONYM", (owner, name, target_owner, target))
        raise self.fault(901, "invalid CREATE command")

    def _create_table(self, temporary: bool) -> Statement:
        owner, name = self.qualified()
        columns: list[ColumnDefinition] = []
        constraints: list[Constraint] = []
        supplemental: list[Supplemental] = []
        if self.accept_sign("("):
            while True:
                if self.is_word(*_CONSTRAINT_WORDS):
                    if self.is_word("SUPPLEMENTAL"):
                        supplemental.append(self._supplemental(add=True))
                    else:
                        constraints.append(self._constraint())
                else:
                    columns.append(self._column())
                if not self.accept_sign(","):
                    break
            self.expect_sign(")")
        query = None
        while not self.is_end():
            if self.accept("AS"):
                query = self.query()
                break
            self.advance()
        return CreateTable(
            owner, name, tuple(columns), tuple(constraints), query, temporary, tuple(supplemental)
        )

    def _column(self) -> ColumnDefinition:
        name = self.name()
        kind = self.type_name()
        nullable, primary, unique, default, identity = True, False, False, None, False
        while True:
            if self.accept("DEFAULT"):
                self.accept("ON", "NULL")
                default = self.expression()
            elif self.accept("GENERATED"):
                identity, nullable = self._identity(), False
            elif self.accept("NOT", "NULL"):
                nullable = False
            elif self.accept("NULL") or self.accept("ENABLE"):
                pass
            elif self.accept("CONSTRAINT"):
                self.name()
            elif self.accept("PRIMARY", "KEY"):
                primary, nullable = True, False
            elif self.accept("UNIQUE"):
                unique = True
            elif self.accept("REFERENCES"):
                self._references()
            elif self.accept("CHECK"):
                self.expect_sign("(")
                self.condition()
                self.expect_sign(")")
            else:
                return ColumnDefinition(name, kind, nullable, default, primary, unique, identity)

    def _identity(self) -> bool:
        """GENERATED { ALWAYS | BY DEFAULT [ON NULL] } AS IDENTITY, without options."""
        if not self.accept("ALWAYS"):
            self.expect("BY", "DEFAULT")
            self.accept("ON", "NULL")
        self.expect("AS", "IDENTITY")
        return True

    def _references(self) -> None:
        self.qualified()
        if self.is_sign("("):
            self.names()
        if self.accept("ON", "DELETE") and not self.accept("CASCADE"):
            self.expect("SET", "NULL")

    def _constraint(self) -> Constraint:
        name = self.name() if self.accept("CONSTRAINT") else None
        if self.accept("PRIMARY", "KEY"):
            result = Constraint("primary", name, self.names())
        elif self.accept("UNIQUE"):
            result = Constraint("unique", name, self.names())
        elif self.accept("FOREIGN", "KEY"):
            result = Constraint("foreign", name, self.names())
            self.expect("REFERENCES")
            self._references()
        else:
            self.expect("CHECK")
            self.expect_sign("(")
            self.condition()
            self.expect_sign(")")
            result = Constraint("check", name)
        while (
            self.accept("ENABLE")
            or self.accept("DISABLE")
            or self.accept("VALIDATE")
            or self.accept("NOVALIDATE")
        ):
            pass
        if self.accept("USING", "INDEX"):
            while not (self.is_sign(",", ")") or self.is_end()):
                self.advance()
        return result

    def _create_index(self, unique: bool) -> Statement:
        owner, name = self.qualified()
        self.expect("ON")
        table_owner, table = self.qualified()
        self.expect_sign("(")
        columns = []
        while True:
            expression = self.expression()
            self.accept("DESC")
            self.accept("ASC")
            columns.append(getattr(expression, "parts", ("",))[-1])
            if not self.accept_sign(","):
                break
        self.expect_sign(")")
        self.rest()
        return CreateIndex(owner, name, table_owner, table, tuple(columns), unique)

    def _create_sequence(self) -> Statement:
        owner, name = self.qualified()
        options: dict[str, str] = {}
        while not self.is_end():
            if self.accept("START"):
                self.accept("WITH")
                options["start"] = self._signed()
            elif self.accept("INCREMENT"):
                self.accept("BY")
                options["increment"] = self._signed()
            else:
                self.advance()
        return Command("CREATE SEQUENCE", (owner, name), options)

    def _signed(self) -> str:
        sign = "-" if self.accept_sign("-") else ""
        return sign + self.advance().text

    def alter(self) -> Statement:
        """Read ALTER."""
        self.advance()
        if self.accept("SESSION"):
            return self._alter_session()
        if self.accept("TABLE"):
            return self._alter_table()
        if self.accept("DATABASE"):
            return self._alter_database()
        if self.accept("SYSTEM"):
            return Command("ALTER SYSTEM", (self.rest().upper(),))
        if self.accept("PLUGGABLE", "DATABASE"):
            return self._alter_pdb()
        if self.accept("USER"):
            return self.alter_user()
        if self.is_word("SEQUENCE", "INDEX", "PROFILE"):
            self.rest()
            return Command("IGNORED", ("ALTER",))
        raise self.fault(940, "invalid ALTER command")

    def _alter_pdb(self) -> Statement:
        """ALTER PLUGGABLE DATABASE [name] OPEN, which they are, or as ALTER DATABASE inside one."""
        if self.is_word("ADD", "DROP"):
            return self._alter_database()
        if not self.is_word("OPEN"):
            self.name()
        self.expect("OPEN")
        self.rest()
        return Command("IGNORED", ("ALTER PLUGGABLE DATABASE",))

    def _alter_session(self) -> Statement:
        options: dict[str, str] = {}
        if not self.accept("SET"):
            self.rest()
            return Command("IGNORED", ("ALTER SESSION",))
        while not self.is_end():
            name = self.name()
            self.expect_sign("=")
            options[name] = self.advance().text
        return Command("ALTER SESSION", (), options)

    def _alter_database(self) -> Statement:
        if self.is_word("ADD", "DROP") and self.look(1).text == "SUPPLEMENTAL":
            add = self.advance().text == "ADD"
            return self._supplemental(add=add)
        text = self.rest().upper()
        return Command("ALTER DATABASE", (text,))

    def _supplemental(self, *, add: bool) -> Supplemental:
        self.expect("SUPPLEMENTAL", "LOG")
        if self.accept("GROUP"):
            group = self.name()
            columns: tuple[str, ...] = ()
            if add:
                columns = self.names()
                self.accept("ALWAYS")
            return Supplemental(add, "GROUP", columns, group)
        self.expect("DATA")
        if not self.accept_sign("("):
            return Supplemental(add, "MIN")
        words = [self.name()]
        while not self.is_sign(")"):
            words.append(self.advance().text)
        self.expect_sign(")")
        self.expect("COLUMNS")
        return Supplemental(add, " ".join(words))

    def _alter_table(self) -> Statement:
        owner, name = self.qualified()
        change: dict[str, object] = {}
        supplemental: list[Supplemental] = []
        while not self.is_end():
            if self.is_word("ADD", "DROP") and self.look(1).text == "SUPPLEMENTAL":
                add = self.advance().text == "ADD"
                supplemental.append(self._supplemental(add=add))
                while self.accept_sign(","):
                    supplemental.append(self._supplemental(add=add))
            elif self.accept("ADD"):
                if self.is_word(*_CONSTRAINT_WORDS):
                    change["constraint"] = self._constraint()
                else:
                    change["add"] = self._column_list()
            elif self.accept("MODIFY"):
                change["modify"] = self._column_list()
            elif self.accept("DROP"):
                self._alter_drop(change)
            elif self.accept("RENAME"):
                if self.accept("COLUMN"):
                    old = self.name()
                    self.expect("TO")
                    change["rename_column"] = (old, self.name())
                else:
                    self.expect("TO")
                    change["rename_to"] = self.name()
            else:
                self.advance()
        return AlterTable(owner, name, supplemental=tuple(supplemental), **change)  # type: ignore[arg-type]

    def _alter_drop(self, change: dict[str, object]) -> None:
        if self.accept("COLUMN"):
            change["drop"] = (self.name(),)
        elif self.accept("CONSTRAINT"):
            change["drop_constraint"] = self.name()
        elif self.accept("PRIMARY", "KEY"):
            change["drop_constraint"] = ""
        else:
            change["drop"] = self.names()

    def _column_list(self) -> tuple[ColumnDefinition, ...]:
        if not self.accept_sign("("):
            return (self._column(),)
        columns = [self._column()]
        while self.accept_sign(","):
            columns.append(self._column())
        self.expect_sign(")")
        return tuple(columns)

    def drop(self) -> Statement:
        """Read DROP."""
        self.advance()
        self.accept("PUBLIC")
        kind = self.name()
        owner, name = self.qualified()
        self.rest()
        return Command(f"DROP {kind}", (owner, name))

    def truncate(self) -> Statement:
        """Read TRUNCATE TABLE."""
        self.advance()
        self.expect("TABLE")
        owner, name = self.qualified()
        self.rest()
        return Command("TRUNCATE", (owner, name))

    def comment(self) -> Statement:
        """Read COMMENT ON."""
        self.advance()
        self.expect("ON")
        kind = self.name()
        parts = [self.name()]
        while self.accept_sign("."):
            parts.append(self.name())
        self.expect("IS")
        return Command("COMMENT", (kind, *parts), {"text": self.advance().text})
