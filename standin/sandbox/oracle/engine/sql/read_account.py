"""Tokens to users, roles, pluggable databases and grants."""

from __future__ import annotations

from sandbox.oracle.engine.sql.read_options import OptionReader
from sandbox.oracle.engine.sql.syntax import Command, Grant, Statement
from sandbox.oracle.engine.sql.tokens import Kind

_GRANT_OPTIONS = ("WITH ADMIN OPTION", "WITH GRANT OPTION", "WITH HIERARCHY OPTION")


class AccountReader(OptionReader):
    """Reads who there is and what they may do."""

    def create_account(self) -> Statement | None:
        """Read what follows CREATE if it is a user, a role or a pluggable database."""
        if self.accept("USER"):
            name = self.name()
            self.expect("IDENTIFIED", "BY")
            password = self.advance().text
            return Command("CREATE USER", (name, password), self._settings())
        if self.accept("ROLE"):
            return Command("CREATE ROLE", (self.name(),), self._settings())
        if self.accept("PLUGGABLE", "DATABASE"):
            name = self.name()
            self.expect("ADMIN", "USER")
            administrator = self.name()
            self.expect("IDENTIFIED", "BY")
            password = self.advance().text
            if self.accept("FILE_NAME_CONVERT"):
                self.expect_sign("=")
                self._texts()
            self.end(922, "missing or invalid option")
            return Command("CREATE PLUGGABLE DATABASE", (name, administrator, password))
        return None

    def _texts(self) -> None:
        if self.accept("NONE"):
            return
        self.expect_sign("(")
        while not self.accept_sign(")"):
            if self.token.kind is not Kind.STRING:
                raise self.fault(922, "missing or invalid option")
            self.advance()
            self.accept_sign(",")

    def alter_user(self) -> Statement:
        """Read what follows ALTER USER."""
        name, password = self.name(), None
        if self.accept("IDENTIFIED", "BY"):
            password = self.advance().text
        through = self.any_of("GRANT CONNECT THROUGH", "REVOKE CONNECT THROUGH")
        if through:
            proxy = self.name()
            self.end(922, "missing or invalid option")
            return Command("ALTER USER", (name, None), {through.partition(" ")[0]: proxy})
        if self.accept("SET") and not self.is_word("CONTAINER_DATA"):
            raise self.fault(922, "missing or invalid option")
        return Command("ALTER USER", (name, password), self._settings())

    def _settings(self) -> dict[str, str]:
        """Clauses of a user or role to the end: CONTAINER, CONTAINER_DATA (a list with commas), ACCOUNT.

        Where a user's data would lie does not matter. Raises ORA-00922 for any other.
        """
        found: dict[str, str] = {}
        while not self.is_end():
            word = self.any_of("CONTAINER", "CONTAINER_DATA")
            if word:
                self.expect_sign("=")
                named = self.names() if self.is_sign("(") else (self.advance().text,)
                found[word] = ",".join(named).upper()
            elif state := self.any_of("ACCOUNT LOCK", "ACCOUNT UNLOCK"):
                found["ACCOUNT"] = state.removeprefix("ACCOUNT ")
            elif self.accept("QUOTA"):
                self.size()
                self.expect("ON")
                self.name()
            elif self.any_of("DEFAULT TABLESPACE", "TEMPORARY TABLESPACE"):
                self.name()
            elif not self.any_of("NOT IDENTIFIED", "DEFAULT ROLE ALL", "PROFILE DEFAULT"):
                raise self.fault(922, "missing or invalid option")
        return found

    def grant(self) -> Statement:
        """Read GRANT and REVOKE."""
        granting = self.advance().text == "GRANT"
        privileges = [self._privilege()]
        while self.accept_sign(","):
            privileges.append(self._privilege())
        subject = self.qualified() if self.accept("ON") else None
        self.expect("TO" if granting else "FROM")
        grantees = [self.name()]
        while self.accept_sign(","):
            grantees.append(self.name())
        self.any_of(*(_GRANT_OPTIONS if granting else ("CASCADE CONSTRAINTS", "FORCE")))
        container = None
        if self.accept("CONTAINER"):
            self.expect_sign("=")
            container = self.name()
        self.end(933, "SQL command not properly ended")
        return Grant(granting, tuple(privileges), subject, tuple(grantees), container)

    def _privilege(self) -> str:
        words = []
        while self.token.kind in (Kind.NAME, Kind.QUOTED) and not self.is_word("ON", "TO", "FROM"):
            words.append(self.advance().text)
        if self.is_sign("("):
            raise self.fault(900, "privileges on single columns are not simulated")
        return " ".join(words)
