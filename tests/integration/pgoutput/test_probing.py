"""The probe of a PostgreSQL system: a real server as it is, with other settings, behind a pooler."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest

from cdc.assumptions import Deadline, Outcome, Report, Verdict
from cdc.errors import OperatorError
from cdc.postgres.connect import Connection
from cdc.readers.pgoutput.probing.assumptions import ASSUMPTIONS
from cdc.readers.pgoutput.probing.server_checks import Connect, connected
from cdc.readers.pgoutput.probing.trial import trial
from tests.integration.pgoutput.source import Prepaid


@pytest.fixture
def prepaid(database: str) -> Iterator[Prepaid]:
    """A database with a schema for the test table."""
    made = Prepaid(database)
    made.execute("create schema ccbprobe")
    yield made
    made.close()


def probe(prepaid: Prepaid, schema: str | None = "ccbprobe", connect: Connect | None = None) -> Report:
    """A probe of the database."""
    opened = connect or partial(connected, prepaid.settings)
    return trial("prepaid", prepaid.settings, schema, connect=opened, deadline=Deadline(60))


def found(report: Report) -> dict[str, Outcome]:
    """Outcomes by name, one for each assumption."""
    assert [one.assumption for one in report.outcomes] == list(ASSUMPTIONS)
    return {one.assumption.name: one for one in report.outcomes}


def test_everything_holds_on_a_server_as_it_should_be(prepaid: Prepaid) -> None:
    """Every assumption is tried, none differs, and nothing stays behind."""
    report = probe(prepaid)
    other = [
        f"{name}: {one.verdict} {one.reason}"
        for name, one in found(report).items()
        if one.verdict is not Verdict.HOLDS
    ]
    assert other == []
    assert report.exit_code == 0
    assert prepaid.value("select count(*) from pg_class where relname = 'ccbp_probe'") == 0
    assert prepaid.value("select count(*) from pg_publication where pubname = 'ccbp_probe'") == 0
    assert prepaid.value("select count(*) from pg_replication_slots where slot_name = 'ccbp_probe'") == 0


class Pooled:
    """A session that is reset after each statement, as by a pooler in transaction mode."""

    def __init__(self, opened: Connection) -> None:
        self._opened = opened

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened, name)

    def execute(self, *statement: Any) -> Any:
        """Run a statement as a pooler in transaction mode does."""
        try:
            return self._opened.execute(*statement)
        finally:
            if not self._opened.info.transaction_status:
                self._opened.execute("discard all")


def test_a_pooler_is_recognised_by_its_behaviour(prepaid: Prepaid) -> None:
    """What a session loses between its statements would break the sinks; each loss is its own line."""

    def opened() -> Any:
        return Pooled(connected(prepaid.settings))

    report = probe(prepaid, None, opened)
    differing = {name for name, one in found(report).items() if one.verdict is Verdict.DIFFERS}
    assert differing == {
        "settings-persist",
        "temporary-tables-persist",
        "prepared-statements-persist",
        "advisory-locks-persist",
    }
    assert report.exit_code == 1


def test_an_address_that_refuses_replication_differs(prepaid: Prepaid) -> None:
    """A pooler, or pg_hba.conf, may let sessions through and replication not."""
    opened = partial(connected, prepaid.settings)
    prepaid.settings = prepaid.settings.model_copy(update={"database": "no_such_database"})
    report = trial("prepaid", prepaid.settings, None, connect=opened, deadline=Deadline(60))
    assert found(report)["replication-session"].verdict is Verdict.DIFFERS


def test_limits_and_settings_of_the_role_are_seen(prepaid: Prepaid) -> None:
    """A read-only default and missing rights are reported, each with what helps."""
    prepaid.execute(
        "create role limited login password 'limited'",
        "alter role limited set default_transaction_read_only = on",
        "alter role limited set statement_timeout = '5s'",
    )
    try:
        settings = prepaid.settings.model_copy(update={"user": "limited", "password": None})
        settings = type(settings).model_validate({**settings.model_dump(), "password": "limited"})
        prepaid.settings = settings
        report = probe(prepaid)
        seen = found(report)
        assert seen["primary"].verdict is Verdict.DIFFERS
        assert seen["start-options"].verdict is Verdict.HOLDS
        assert seen["replication-session"].hint == 'alter role "limited" replication;'
        assert seen["decoding"].verdict is Verdict.COULD_NOT_TRY
        assert "grant execute on function" in seen["origin-functions"].hint
    finally:
        prepaid.execute("drop role limited")


def test_without_a_schema_only_what_needs_a_table_is_not_tried(prepaid: Prepaid) -> None:
    """Nothing is made unless the DBA names where."""
    report = probe(prepaid, None)
    untried = {name for name, one in found(report).items() if one.verdict is Verdict.COULD_NOT_TRY}
    assert untried == {
        "decoding",
        "key-update",
        "delete-key",
        "unchanged-toast",
        "full-identity",
        "truncate",
        "rolled-back",
        "logical-messages",
    }
    assert report.exit_code == 0


def test_a_schema_that_does_not_exist_is_named_with_the_statement_that_makes_it(prepaid: Prepaid) -> None:
    """The hint is what a DBA runs."""
    one = found(probe(prepaid, "nosuch"))["decoding"]
    assert one.verdict is Verdict.COULD_NOT_TRY
    assert one.hint.startswith("create schema nosuch")


def test_a_table_that_no_probe_made_is_refused(prepaid: Prepaid) -> None:
    """It is neither dropped nor changed."""
    prepaid.execute("create table ccbprobe.ccbp_probe (x int)")
    with pytest.raises(OperatorError, match="no probe made"):
        probe(prepaid)
    assert prepaid.value("select count(*) from ccbprobe.ccbp_probe") == 0


def test_a_server_that_is_down_is_exit_code_3(prepaid: Prepaid) -> None:
    """Everything could not be tried, for one reason."""
    settings = prepaid.settings.model_copy(update={"port": 1})
    report = trial("prepaid", settings, None, connect=partial(connected, settings), deadline=Deadline(60))
    assert report.exit_code == 3
    assert {one.verdict for one in found(report).values()} == {Verdict.COULD_NOT_TRY}


def test_a_key_with_a_nondeterministic_collation_differs(prepaid: Prepaid) -> None:
    """Two texts that are equal there are two keys here."""
    try:
        prepaid.execute(
            "create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server was built without ICU")
    prepaid.execute("create table t (k text collate loose primary key)")
    one = found(probe(prepaid, None))["key-collation"]
    assert (one.verdict, one.reason) == (Verdict.DIFFERS, "public.t.k")
