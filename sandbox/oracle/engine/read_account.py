"""Tokens to users, roles, pluggable databases and grants.

Read next: `read_definition`, `accounts` (what they do).
"""

from __future__ import annotations

from sandbox.oracle.engine.read_query import QueryReader
from sandbox.oracle.engine.syntax import Command, Grant, Statement
from sandbox.oracle.engine.tokens import Kind


class AccountReader(QueryReader):
    """Reads who there is and what they may do."""

    def qualified(self) -> tuple[str | None, str]:
        """Read [owner.]name."""
        first = self.name()
        if self.accept_sign("."):
            return first, self.name()
        return None, first

    def rest(self) -> str:
        """Skip to the end: options of storage and the like, which the stand-in has not."""
        start = self.token.at
        while not self.is_end():
            self.advance()
        return self.text[start:].strip()

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
            self.rest()
            return Command("CREATE PLUGGABLE DATABASE", (name, administrator, password))
        return None

    def alter_user(self) -> Statement:
        """Read what follows ALTER USER."""
        name, password = self.name(), None
        if self.accept("IDENTIFIED", "BY"):
            password = self.advance().text
        start = self.token.at
        settings = self._settings()
        return Command("ALTER USER", (name, password, self.text[start:].upper()), settings)

    def _settings(self) -> dict[str, str]:
        """CONTAINER and CONTAINER_DATA among the clauses to the end; lists with commas."""
        found: dict[str, str] = {}
        while not self.is_end():
            word = self.advance()
            if word.kind is Kind.NAME and word.text in ("CONTAINER", "CONTAINER_DATA"):
                self.expect_sign("=")
                named = self.names() if self.is_sign("(") else (self.advance().text,)
                found[word.text] = ",".join(named).upper()
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
        container = self._settings().get("CONTAINER")
        return Grant(granting, tuple(privileges), subject, tuple(grantees), container)

    def _privilege(self) -> str:
        words = []
        while self.token.kind in (Kind.NAME, Kind.QUOTED) and not self.is_word("ON", "TO", "FROM"):
            words.append(self.advance().text)
        if self.is_sign("("):
            self.names()
        return " ".join(words)
