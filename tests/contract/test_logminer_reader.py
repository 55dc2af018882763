"""The LogMiner reader against the contract; see `reader_suite`. The server is the Oracle stand-in.

It mines a database without containers, or its root; and once more from within a pluggable database.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.logminer_source import OracleSource, oracle_server, pluggable_database
from tests.contract.reader_suite import ReaderSuite, Source


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests; each has a schema of its own."""
    with oracle_server(tmp_path_factory.mktemp("oracle")) as dsn:
        yield dsn


class TestLogMinerReader(ReaderSuite):
    """Oracle through LogMiner."""

    @pytest.fixture
    def source(self, oracle: str) -> Source:
        """A schema with the contract's tables."""
        return OracleSource(oracle)


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One pluggable database for all tests, in which the reader mines."""
    with pluggable_database(tmp_path_factory.mktemp("pluggable")) as dsn:
        yield dsn


class TestLogMinerReaderInsidePdb(ReaderSuite):
    """A pluggable database through a LogMiner session inside it: no log is added, no root is entered."""

    @pytest.fixture
    def source(self, inside: str) -> Source:
        """A schema with the contract's tables."""
        return OracleSource(inside, None)
