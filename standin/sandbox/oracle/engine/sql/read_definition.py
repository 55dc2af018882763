"""Tokens to definitions: CREATE, ALTER, DROP, GRANT and their kin. What is not known is refused."""

from __future__ import annotations

from dataclasses import replace

from sandbox.oracle.engine.sql.read_account import AccountReader
from sandbox.oracle.engine.sql.syntax import (
    AlterTable,
    ColumnDefinition,
    Command,
    Constraint,
    CreateIndex,
    CreateTable,
    Expression,
    Modification,
    Statement,
    Supplemental,
)
from sandbox.oracle.engine.sql.tokens import Kind

_CONSTRAINT_WORDS = ("CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "SUPPLEMENTAL")

_SEQUENCE_FLAGS = (
    *("NOMAXVALUE", "NOMINVALUE", "NOCYCLE", "NOCACHE", "ORDER", "NOORDER", "KEEP", "NOKEEP", "GLOBAL"),
)
_SESSION_SWITCHES = [
    *((state, "PARALLEL", what) for state in ("ENABLE", "DISABLE") for what in ("DML", "DDL", "QUERY")),
    *((state, "RESUMABLE") for state in ("ENABLE", "DISABLE")),
    *((state, "COMMIT", "IN", "PROCEDURE") for state in ("ENABLE", "DISABLE")),
]
_DROP_OPTIONS = {
    "TABLE": ("CASCADE CONSTRAINTS", "PURGE"),
    "CLUSTER": ("INCLUDING TABLES", "CASCADE CONSTRAINTS"),
    "USER": ("CASCADE",),
    "INDEX": ("ONLINE", "FORCE"),
    "SYNONYM": ("FORCE",),
}
_NOT_A_TYPE = (
    "CONSTRAINT",
    "PRIMARY",
    "UNIQUE",
    "CHECK",
    "REFERENCES",
    "ENABLE",
    "DISABLE",
    "INVISIBLE",
    "VISIBLE",
)


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
        if self.accept("CLUSTER"):
            return self._create_cluster()
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

    def _create_cluster(self) -> Statement:
        named = self.qualified()
        self.expect_sign("(")
        self._column()
        while self.accept_sign(","):
            self._column()
        self.expect_sign(")")
        self.all_physical()
        self.end(922, "missing or invalid option")
        return Command("CREATE CLUSTER", named)

    def _create_table(self, temporary: bool) -> Statement:
        table = CreateTable(*self.qualified(), temporary=temporary)
        if self.accept_sign("("):
            table = self._relational_properties(table)
        while not self.is_end():
            if self.accept("AS"):
                return replace(table, query=self.query())
            table = self._table_option(table)
        return table

    def _relational_properties(self, table: CreateTable) -> CreateTable:
        """Columns, constraints and supplemental log groups, behind their opening parenthesis."""
        columns: list[ColumnDefinition] = []
        constraints: list[Constraint] = []
        supplemental: list[Supplemental] = []
        while True:
            if self.is_word("SUPPLEMENTAL"):
                supplemental.append(self._supplemental(add=True))
            elif self.is_word(*_CONSTRAINT_WORDS):
                constraints.append(self._constraint())
            else:
                columns.append(self._column())
            if not self.accept_sign(","):
                break
        self.expect_sign(")")
        return replace(
            table, columns=tuple(columns), constraints=tuple(constraints), supplemental=tuple(supplemental)
        )

    def _table_option(self, table: CreateTable) -> CreateTable:
        """One clause behind the columns of CREATE TABLE."""
        if self.accept("ROW", "ARCHIVAL"):
            return replace(table, row_archival=True)
        if self.accept("ORGANIZATION", "INDEX"):
            return replace(table, parts=(*table.parts, (f"SYS_IOT_TOP_{table.name}", "INDEX")))
        if self.accept("PARTITION", "BY"):
            return replace(table, parts=(*table.parts, *self._partitions()))
        if self.accept("CLUSTER"):
            table = replace(table, cluster=self.qualified())
            self.names()
            return table
        if table.temporary and self.accept("ON", "COMMIT", "PRESERVE", "ROWS"):
            return table
        if not (self.physical() or self.lob_storage()):
            raise self.fault(922, "missing or invalid option")
        return table

    def _column(self) -> ColumnDefinition:
        column = ColumnDefinition(self.name(), self.type_name())
        while (more := self._column_clause(column)) is not None:
            column = more
        return column

    def _column_clause(self, column: ColumnDefinition) -> ColumnDefinition | None:
        """The column with the next clause behind its type, None when there is no more."""
        if self.accept("DEFAULT"):
            return replace(column, default=self._default())
        if self.accept("GENERATED"):
            return replace(column, identity=self._identity(), nullable=False)
        if self.accept("NOT", "NULL"):
            return replace(column, nullable=False)
        if visible := self.any_of("VISIBLE", "INVISIBLE"):
            return replace(column, invisible=visible == "INVISIBLE")
        if self.any_of("NULL", "ENABLE"):
            return column
        return self._column_constraint(column)

    def _column_constraint(self, column: ColumnDefinition) -> ColumnDefinition | None:
        if self.accept("CONSTRAINT"):
            self.name()
            return column
        if self.accept("PRIMARY", "KEY"):
            return replace(column, primary=True, nullable=False)
        if self.accept("UNIQUE"):
            return replace(column, unique=True)
        if self.accept("REFERENCES"):
            return replace(column, references=self._references(None, (column.name,)))
        if self.accept("CHECK"):
            self.expect_sign("(")
            self.condition()
            self.expect_sign(")")
            return column
        return None

    def _default(self) -> Expression:
        if self.is_word("ON"):
            raise self.fault(900, "DEFAULT ON NULL is not simulated")
        return self.expression()

    def _identity(self) -> bool:
        """GENERATED { ALWAYS | BY DEFAULT [ON NULL] } AS IDENTITY, without options."""
        if not self.accept("ALWAYS"):
            self.expect("BY", "DEFAULT")
            self.accept("ON", "NULL")
        self.expect("AS", "IDENTITY")
        return True

    def _references(self, name: str | None, columns: tuple[str, ...]) -> Constraint:
        table, rule = self.qualified(), "NO ACTION"
        if self.is_sign("("):
            self.names()
        if self.accept("ON", "DELETE"):
            rule = "CASCADE" if self.accept("CASCADE") else "SET NULL"
            if rule == "SET NULL":
                self.expect("SET", "NULL")
        return Constraint("foreign", name, columns, table=table, delete_rule=rule)

    def _constraint(self) -> Constraint:
        name = self.name() if self.accept("CONSTRAINT") else None
        if self.accept("PRIMARY", "KEY"):
            result = Constraint("primary", name, self.names())
        elif self.accept("UNIQUE"):
            result = Constraint("unique", name, self.names())
        elif self.accept("FOREIGN", "KEY"):
            columns = self.names()
            self.expect("REFERENCES")
            result = self._references(name, columns)
        else:
            self.expect("CHECK")
            self.expect_sign("(")
            self.condition()
            self.expect_sign(")")
            result = Constraint("check", name)
        result = self._state(result)
        if self.accept("USING", "INDEX"):
            if self.token.kind in (Kind.NAME, Kind.QUOTED) and not self.physical():
                self.name()
            self.all_physical()
            result = self._state(result)
        return result

    def _state(self, constraint: Constraint) -> Constraint:
        """ENABLE or DISABLE, VALIDATE or NOVALIDATE: what a constraint is, or becomes."""
        while word := self.any_of("ENABLE", "DISABLE", "VALIDATE", "NOVALIDATE", "RELY", "NORELY"):
            if word == "ENABLE":
                constraint = replace(constraint, enabled=True)
            elif word == "DISABLE":
                constraint = replace(constraint, enabled=False, validated=False)
            elif word in ("VALIDATE", "NOVALIDATE"):
                constraint = replace(constraint, validated=word == "VALIDATE")
        return constraint

    def _partitions(self) -> list[tuple[str, str]]:
        """Names and kinds behind PARTITION BY; how rows are spread is not read."""
        found: list[tuple[str, str]] = []
        while not (self.is_end() or self.is_word("ROW", "AS")):
            word = self.advance()
            if word.text in ("PARTITION", "SUBPARTITION") and not self.is_word("BY", "TEMPLATE"):
                found.append((self.name(), f"TABLE {word.text}"))
        if not found:
            raise self.fault(922, "missing or invalid option")  # names that the database would make up
        return found

    def _create_index(self, unique: bool) -> Statement:
        owner, name = self.qualified()
        self.expect("ON")
        table_owner, table = self.qualified()
        self.expect_sign("(")
        columns = []
        while True:
            expression = self.expression()
            self.any_of("DESC", "ASC")
            columns.append(getattr(expression, "parts", ("",))[-1])
            if unique and not columns[-1]:
                raise self.fault(900, "unique indexes on expressions are not simulated")
            if not self.accept_sign(","):
                break
        self.expect_sign(")")
        while self.physical() or self.any_of("ONLINE", "SORT", "NOSORT", "REVERSE", "VISIBLE", "INVISIBLE"):
            pass
        self.end(2158, "invalid CREATE INDEX option")
        return CreateIndex(owner, name, table_owner, table, tuple(columns), unique)

    def _create_sequence(self) -> Statement:
        owner, name = self.qualified()
        return Command("CREATE SEQUENCE", (owner, name), self._sequence_options(start=True))

    def _sequence_options(self, *, start: bool) -> dict[str, str]:
        options: dict[str, str] = {}
        while not self.is_end():
            if start and self.accept("START"):
                self.expect("WITH")
                options["start"] = str(self.whole_number())
            elif self.accept("INCREMENT"):
                self.expect("BY")
                options["increment"] = str(self.whole_number())
            elif bound := self.any_of("MAXVALUE", "MINVALUE"):
                options[bound.lower()] = str(self.whole_number())
            elif self.accept("CACHE"):
                self.whole_number()
            elif not self.any_of(*_SEQUENCE_FLAGS):
                raise self.fault(933, "SQL command not properly ended")
        return options

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
            return Command("ALTER SYSTEM", (self.remaining().upper(),))
        if self.accept("PLUGGABLE", "DATABASE"):
            return self._alter_pdb()
        if self.accept("USER"):
            return self.alter_user()
        if self.accept("SEQUENCE"):
            owner, name = self.qualified()
            return Command("ALTER SEQUENCE", (owner, name), self._sequence_options(start=False))
        if self.accept("INDEX"):
            return self._alter_index()
        raise self.fault(940, "invalid ALTER command")

    def _alter_pdb(self) -> Statement:
        """ALTER PLUGGABLE DATABASE [name] OPEN, which they are, or as ALTER DATABASE inside one."""
        if self.is_word("ADD", "DROP"):
            return self._alter_database()
        if not self.is_word("OPEN"):
            self.name()
        self.expect("OPEN")
        self.any_of("READ WRITE")
        self.accept("FORCE")
        self.end(922, "missing or invalid option")
        return Command("NOTHING", ("ALTER PLUGGABLE DATABASE",))

    def _alter_index(self) -> Statement:
        """REBUILD and COALESCE, which change nothing; anything else is refused."""
        owner, name = self.qualified()
        if not self.any_of(
            "REBUILD", "COALESCE", "MONITORING USAGE", "NOMONITORING USAGE", "VISIBLE", "INVISIBLE"
        ):
            self.all_physical()
        while self.physical() or self.any_of("ONLINE", "REVERSE", "NOREVERSE"):
            pass
        self.end(2243, "invalid ALTER INDEX or ALTER MATERIALIZED VIEW option")
        return Command("ALTER INDEX", (owner, name))

    def _alter_session(self) -> Statement:
        options: dict[str, str] = {}
        if not self.accept("SET"):
            for words in _SESSION_SWITCHES:
                if self.accept(*words):
                    self.end(2248, "invalid option for ALTER SESSION")
                    return Command("NOTHING", ("ALTER SESSION",))
            raise self.fault(2248, "invalid option for ALTER SESSION")
        if self.accept("ROW", "ARCHIVAL", "VISIBILITY"):
            self.expect_sign("=")
            return Command("ALTER SESSION", (), {"ROW ARCHIVAL VISIBILITY": self.name()})
        while not self.is_end():
            name = self.name()
            self.expect_sign("=")
            options[name] = self.advance().text
        return Command("ALTER SESSION", (), options)

    def _alter_database(self) -> Statement:
        if self.is_word("ADD", "DROP") and self.look(1).text == "SUPPLEMENTAL":
            add = self.advance().text == "ADD"
            return self._supplemental(add=add)
        text = self.remaining().upper()
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
        change = AlterTable(owner, name)
        if self.is_end():
            raise self.fault(1735, "invalid ALTER TABLE option")
        while not self.is_end():
            change = self._alteration(change)
        return change

    def _alteration(self, change: AlterTable) -> AlterTable:
        """Read one clause of ALTER TABLE; what came before is kept."""
        if self.is_word("ADD", "DROP") and self.look(1).text == "SUPPLEMENTAL":
            add = self.advance().text == "ADD"
            found = [self._supplemental(add=add)]
            while self.accept_sign(","):
                found.append(self._supplemental(add=add))
            return replace(change, supplemental=(*change.supplemental, *found))
        if self.accept("ADD"):
            if self.is_word(*_CONSTRAINT_WORDS):
                return replace(change, constraints=(*change.constraints, self._constraint()))
            return self._added(change)
        if self.accept("MODIFY"):
            return replace(change, modify=(*change.modify, *self._modifications()))
        if self.accept("DROP"):
            return self._alter_drop(change)
        if self.accept("SET", "UNUSED"):
            unused = self.names() if self.is_sign("(") else (self._column_word(),)
            self._drop_options()
            return replace(change, unused=(*change.unused, *unused))
        if self.accept("RENAME"):
            return self._renamed(change)
        return self._table_state(change)

    def _table_state(self, change: AlterTable) -> AlterTable:
        """A clause that changes no column: partitions, the key's state, where and how the table is stored."""
        if self.accept("EXCHANGE", "PARTITION"):
            return replace(change, exchange=self._exchanged_table())
        if self.accept("SPLIT", "PARTITION"):
            return replace(change, split=self._split_partitions())
        if self.is_word("ENABLE", "DISABLE") and self.look(1).text in ("PRIMARY", "VALIDATE", "NOVALIDATE"):
            state = self._state(Constraint("primary", None))
            self.expect("PRIMARY", "KEY")
            return replace(change, key_state=state)
        if self.physical():
            return change
        raise self.fault(1735, "invalid ALTER TABLE option")

    def _exchanged_table(self) -> tuple[str | None, str]:
        self.name()
        self.expect("WITH", "TABLE")
        other = self.qualified()
        self.any_of("INCLUDING INDEXES", "EXCLUDING INDEXES")
        self.any_of("WITH VALIDATION", "WITHOUT VALIDATION")
        return other

    def _split_partitions(self) -> tuple[str, ...]:
        names = [self.name()]
        while not self.is_end():
            if self.accept("PARTITION"):
                names.append(self.name())
            else:
                self.advance()
        return tuple(names)

    def _column_word(self) -> str:
        self.accept("COLUMN")
        return self.name()

    def _added(self, change: AlterTable) -> AlterTable:
        """Columns and constraints in one pair of parentheses, or one column."""
        if not self.accept_sign("("):
            return replace(change, add=(*change.add, self._column()))
        columns, constraints = list(change.add), list(change.constraints)
        while True:
            if self.is_word(*_CONSTRAINT_WORDS):
                constraints.append(self._constraint())
            else:
                columns.append(self._column())
            if not self.accept_sign(","):
                break
        self.expect_sign(")")
        return replace(change, add=tuple(columns), constraints=tuple(constraints))

    def _renamed(self, change: AlterTable) -> AlterTable:
        if self.accept("COLUMN"):
            old = self.name()
            self.expect("TO")
            return replace(change, rename_column=(old, self.name()))
        if self.accept("CONSTRAINT"):
            old = self.name()
            self.expect("TO")
            return replace(change, rename_constraint=(old, self.name()))
        self.expect("TO")
        return replace(change, rename_to=self.name())

    def _alter_drop(self, change: AlterTable) -> AlterTable:
        if self.any_of("UNUSED COLUMNS", "COLUMNS CONTINUE"):
            self._drop_options()
            return change
        if self.accept("COLUMN"):
            change = replace(change, drop=(*change.drop, self.name()))
        elif self.is_sign("("):
            change = replace(change, drop=(*change.drop, *self.names()))
        elif self.accept("CONSTRAINT"):
            change = replace(change, drop_constraint=self.name())
        elif self.accept("PRIMARY", "KEY"):
            change = replace(change, drop_constraint="")
        else:
            raise self.fault(905, "missing keyword")
        self._drop_options()
        return change

    def _drop_options(self) -> None:
        """What may follow a dropped column or constraint; foreign keys are not enforced anyway."""
        while word := self.any_of(
            "CASCADE CONSTRAINTS", "CASCADE", "INVALIDATE", "CHECKPOINT", "DROP INDEX", "ONLINE"
        ):
            if word == "CHECKPOINT" and self.token.kind is Kind.NUMBER:
                self.whole_number()

    def _modifications(self) -> tuple[Modification, ...]:
        if not self.accept_sign("("):
            return (self._modification(),)
        found = [self._modification()]
        while self.accept_sign(","):
            found.append(self._modification())
        self.expect_sign(")")
        return tuple(found)

    def _modification(self) -> Modification:
        """MODIFY of a column: [type] [DEFAULT value] [NOT NULL | NULL]."""
        name, kind = self.name(), None
        if self.token.kind is Kind.NAME and not self.is_word("DEFAULT", "NOT", "NULL", *_NOT_A_TYPE):
            kind = self.type_name()
        found = Modification(name, kind)
        while True:
            if self.accept("DEFAULT"):
                found = replace(found, default=self._default(), new_default=True)
            elif self.accept("NOT", "NULL"):
                found = replace(found, nullable=False)
            elif self.accept("NULL"):
                found = replace(found, nullable=True)
            elif not self.accept("ENABLE"):
                break
        if found == Modification(name, None):
            raise self.fault(1735, "invalid ALTER TABLE option")
        return found

    def drop(self) -> Statement:
        """Read DROP."""
        self.advance()
        self.accept("PUBLIC")
        kind = self.name()
        owner, name = self.qualified()
        given: dict[str, str] = {}
        while not self.is_end():
            word = self.any_of(*_DROP_OPTIONS.get(kind, ()))
            if not word:
                raise self.fault(933, "SQL command not properly ended")
            given[word] = "yes"
        return Command(f"DROP {kind}", (owner, name), given)

    def truncate(self) -> Statement:
        """Read TRUNCATE TABLE and TRUNCATE CLUSTER."""
        self.advance()
        if self.accept("CLUSTER"):
            named = self.qualified()
            self.any_of("DROP STORAGE", "REUSE STORAGE")
            self.end(3291, "Invalid truncate option - missing STORAGE keyword")
            return Command("TRUNCATE CLUSTER", named)
        self.expect("TABLE")
        owner, name = self.qualified()
        self.any_of("PRESERVE MATERIALIZED VIEW LOG", "PURGE MATERIALIZED VIEW LOG")
        self.any_of("DROP STORAGE", "DROP ALL STORAGE", "REUSE STORAGE")
        cascade = {"CASCADE": "yes"} if self.accept("CASCADE") else {}
        self.end(3291, "Invalid truncate option - missing STORAGE keyword")
        return Command("TRUNCATE", (owner, name), cascade)

    def comment(self) -> Statement:
        """Read COMMENT ON."""
        self.advance()
        self.expect("ON")
        kind = self.any_of("TABLE", "COLUMN")
        if not kind:
            raise self.fault(905, "missing keyword")
        parts = [self.name()]
        while self.accept_sign("."):
            parts.append(self.name())
        self.expect("IS")
        if self.token.kind is not Kind.STRING:
            raise self.fault(1780, "string literal required")
        return Command("COMMENT", (kind, *parts), {"text": self.advance().text})
