"""Clauses that change nothing which the stand-in has: where and how things are stored.

Every other clause that is not known is refused by its statement, with Oracle's number: a clause that is
accepted and does nothing would make a test prove nothing.
"""

from __future__ import annotations

from sandbox.oracle.engine.sql.read_query import QueryReader
from sandbox.oracle.engine.sql.tokens import Kind

_FLAGS = (
    *("LOGGING", "NOLOGGING", "NOCOMPRESS", "CACHE", "NOCACHE", "NOPARALLEL", "MONITORING", "NOMONITORING"),
    *("ROWDEPENDENCIES", "NOROWDEPENDENCIES"),
)
_PAIRS = (
    ("ENABLE", "ROW", "MOVEMENT"),
    ("DISABLE", "ROW", "MOVEMENT"),
    ("SEGMENT", "CREATION", "IMMEDIATE"),
    ("SEGMENT", "CREATION", "DEFERRED"),
    ("ORGANIZATION", "HEAP"),
    ("ORGANIZATION", "INDEX"),
    ("ROW", "STORE", "COMPRESS", "BASIC"),
    ("ROW", "STORE", "COMPRESS", "ADVANCED"),
    ("COMPUTE", "STATISTICS"),
)
_NUMBERED = ("PCTFREE", "PCTUSED", "INITRANS", "MAXTRANS", "CHUNK", "PCTVERSION", "FREEPOOLS")
_OPTIONAL_NUMBER = ("COMPRESS", "PARALLEL")
_STORAGE = (
    *("INITIAL", "NEXT", "MINEXTENTS", "MAXEXTENTS", "PCTINCREASE", "FREELISTS", "BUFFER_POOL"),
    *("FLASH_CACHE", "CELL_FLASH_CACHE"),
)


class OptionReader(QueryReader):
    """Reads what may be left out of account, and refuses the rest."""

    def qualified(self) -> tuple[str | None, str]:
        """Read [owner.]name."""
        first = self.name()
        if self.accept_sign("."):
            return first, self.name()
        return None, first

    def end(self, code: int, text: str) -> None:
        """Make sure that a statement ends here.

        Raises:
            OracleFault: `code`, at what is left.
        """
        if not self.is_end():
            raise self.fault(code, text)

    def remaining(self) -> str:
        """Take all the rest, as it is written; whoever runs the statement knows all of it or refuses it."""
        start = self.token.at
        while not self.is_end():
            self.advance()
        return self.text[start:].strip().rstrip(";").rstrip()

    def any_of(self, *clauses: str) -> str:
        """Take the first of some clauses that comes next, words separated by blanks; '' for none."""
        return next((clause for clause in clauses if self.accept(*clause.split())), "")

    def whole_number(self) -> int:
        """Take an integer."""
        sign = -1 if self.accept_sign("-") else 1
        if self.token.kind is not Kind.NUMBER or not self.token.text.isdigit():
            raise self.fault(2017, "integer value required")
        return sign * int(self.advance().text)

    def size(self) -> None:
        """Take a size: a number, which K, M or G may follow, or UNLIMITED."""
        if not self.accept("UNLIMITED"):
            self.whole_number()
            self.any_of("K", "M", "G", "T")

    def physical(self) -> bool:
        """Take one clause of storage if it comes next."""
        if self.any_of(*_FLAGS) or any(self.accept(*words) for words in _PAIRS):
            return True
        if self.any_of(*_NUMBERED):
            self.whole_number()
            return True
        if self.any_of(*_OPTIONAL_NUMBER):
            if self.token.kind is Kind.NUMBER:
                self.whole_number()
            return True
        if self.accept("TABLESPACE"):
            self.name()
            return True
        if self.accept("STORAGE"):
            self._storage()
            return True
        return False

    def all_physical(self) -> None:
        """Take all clauses of storage that come next."""
        while self.physical():
            pass

    def _storage(self) -> None:
        self.expect_sign("(")
        while not self.accept_sign(")"):
            word = self.any_of(*_STORAGE)
            if not word:
                raise self.fault(2143, "invalid STORAGE option")
            if word in ("BUFFER_POOL", "FLASH_CACHE", "CELL_FLASH_CACHE"):
                self.name()
            else:
                self.size()

    def lob_storage(self) -> bool:
        """Take LOB (columns) STORE AS [SECUREFILE | BASICFILE] [name] [(...)] if it comes next."""
        if not self.accept("LOB"):
            return False
        self.names()
        self.expect("STORE", "AS")
        self.any_of("SECUREFILE", "BASICFILE")
        if self.token.kind is Kind.QUOTED or (
            self.token.kind is Kind.NAME and not self.is_word("LOB", "TABLESPACE", "STORAGE", "PCTFREE")
        ):
            self.name()
        if self.accept_sign("("):
            while not self.accept_sign(")"):
                if not (
                    self.physical() or self.any_of("ENABLE STORAGE IN ROW", "RETENTION", "KEEP_DUPLICATES")
                ):
                    raise self.fault(22853, "invalid LOB storage option specification")
        return True
