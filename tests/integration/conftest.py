"""An Oracle source for the tests of readers; a file that needs it otherwise makes its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.logminer_source import OracleSource, oracle_server


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests of a file; each has a schema of its own."""
    with oracle_server(tmp_path_factory.mktemp("oracle")) as dsn:
        yield dsn


@pytest.fixture
def source(oracle: str) -> OracleSource:
    """A schema of its own."""
    return OracleSource(oracle)
