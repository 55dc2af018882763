"""The checker finds every kind of thing that it is there for, in the data of a whole installation.

It works for a while and everything is right. Then one thing after another is spoilt, each in a
transaction that is rolled back, and the checker must name it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import oracledb
import psycopg
import pytest

from sandbox.workload.verify import compare_in
from tests.reliability.bed import Bed
from tests.reliability.history import gaps

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Sessions(NamedTuple):
    """A session in each database, as one who may do everything."""

    staging: psycopg.Connection[Any]
    prepaid: psycopg.Connection[Any]
    ccb: oracledb.Connection

    def found(self) -> str:
        """Everything that the checker finds, as text."""
        differences = compare_in(self.ccb, self.prepaid)
        return "\n".join([*map(str, differences.found), *gaps(*self)])


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with Bed(tmp_path_factory.mktemp("tampering"), persons=60) as bed:
        running = bed.begin()
        seen = "select count(distinct operation) from staging.change where system = 'ccb'"
        bed.eventually(lambda: bed.staging(seen) == [(4,)], "every kind of change")
        versions = "select count(*) > 5 from staging.agreement_history"
        bed.eventually(lambda: bed.staging(versions) == [(True,)], "agreements that changed")
        bed.checked()
        running.kill()
        yield bed


@pytest.fixture
def sessions(installation: Bed) -> Iterator[Sessions]:
    world = installation.world
    with (
        psycopg.connect(world.postgres.conninfo(world.staging.name)) as staging,
        psycopg.connect(world.postgres.conninfo(world.prepaid.name)) as prepaid,
        world.ccb.connect("SYSTEM") as ccb,
    ):
        yield Sessions(staging, prepaid, ccb)
        ccb.rollback()
        staging.rollback()
        prepaid.rollback()


def change(operation: str, table: str, number: str = "(n + 1) / 2") -> str:
    """A condition: the change of the log that has this number among the n of this kind."""
    return (
        "(system, source_position, source_ordinal) = (select system, source_position, source_ordinal from ("
        "select *, row_number() over (order by source_position, source_ordinal) as i, count(*) over () as n"
        f" from staging.change where operation = '{operation}' and table_name = '{table}') as one"
        f" where i = {number})"
    )


COPY = (
    "insert into staging.change (system, schema_name, table_name, operation, key, before, after,"
    " source_position, source_ordinal, committed_at, batch_id) select system, schema_name, table_name,"
    " operation, key, before, after, source_position, source_ordinal + {}, {}, batch_id"
    " from staging.change where {}"
)
LATER = "committed_at + interval '1 microsecond'"
SPOILT_LOG = {
    "a creation is lost": (f"delete from staging.change where {change('c', 'recharge')}", "recharge"),
    "the last creation is lost": (
        f"delete from staging.change where {change('c', 'CI_PAY_EVENT', 'n')}",
        "CI_PAY_EVENT .* in the source only",
    ),
    "an update is lost": (f"delete from staging.change where {change('u', 'CI_PER_NAME')}", "CI_PER_NAME"),
    "the last update is lost": (
        f"delete from staging.change where {change('u', 'CI_PER_NAME', 'n')}",
        "CI_PER_NAME .* ENTITY_NAME: the log adds up to .* the source holds",
    ),
    "a deletion is lost": (
        f"delete from staging.change where {change('d', 'C1_PER_CONTDET')}",
        "C1_PER_CONTDET .* in the log only",
    ),
    "a row of the snapshot is lost": (
        f"delete from staging.change where {change('r', 'CI_ACCT', '1')}",
        "CI_ACCT .* in the source only",
    ),
    "a creation is there again, later": (
        COPY.format("1000000", LATER, change("c", "CI_PAY")),
        "CI_PAY .* created though it was there",
    ),
    "an update is there again, later": (
        COPY.format("1000000", LATER, change("u", "CI_PER_NAME", "n")),
        "CI_PER_NAME .* the change says",
    ),
    "a deletion is there again, later": (
        COPY.format("1000000", LATER, change("d", "C1_PER_CONTDET")),
        "C1_PER_CONTDET .* on a row never seen",
    ),
    "a place of the stream is there twice": (
        COPY.format("0", LATER, change("u", "CI_PER_NAME")),
        "2 changes at",
    ),
    "a wrong cent": (
        "update staging.change set after = after || jsonb_build_object('amount',"
        f" ((after ->> 'amount')::numeric + 0.01)::text) where {change('c', 'recharge')}",
        "recharge .*amount",
    ),
    "two changes out of order": (
        "update staging.change as c set source_position = -c.source_position where c.table_name ="
        " 'CI_PER_NAME' and c.operation = 'u'",
        "CI_PER_NAME",
    ),
}


@pytest.mark.parametrize("spoilt", SPOILT_LOG)
def test_a_change_log_that_was_spoilt_is_found(sessions: Sessions, spoilt: str) -> None:
    statement, named = SPOILT_LOG[spoilt]
    assert sessions.staging.execute(statement.encode()).rowcount > 0
    assert_finds(sessions, named)


SPOILT_VERSIONS = {
    "a version is lost": (
        "delete from staging.person_name_history where staged_seq ="
        " (select max(staged_seq) from staging.person_name_history)",
        "person_name .* does not follow",
    ),
    "a version ends too early": (
        "update staging.person_name_history set valid_to = valid_to - interval '1 second' where staged_seq ="
        " (select max(staged_seq) from staging.person_name_history)",
        "person_name .* does not follow",
    ),
    "versions are out of order": (
        "update staging.person_name_history set valid_from = valid_to, valid_to = valid_from where valid_from"
        " < valid_to",
        "person_name .* does not follow",
    ),
    "a version names another one as the next": (
        "update staging.agreement_history set superseded_seq = superseded_seq + 1 where staged_seq ="
        " (select max(staged_seq) from staging.agreement_history)",
        "agreement .* does not follow",
    ),
}


@pytest.mark.parametrize("spoilt", SPOILT_VERSIONS)
def test_versions_that_were_spoilt_are_found(sessions: Sessions, spoilt: str) -> None:
    statement, named = SPOILT_VERSIONS[spoilt]
    assert sessions.staging.execute(statement.encode()).rowcount > 0
    assert_finds(sessions, named)


A_TENDER = "(select max(PAY_TENDER_ID) from CISADM.CI_PAY_TNDR where EXT_REFERENCE_ID is not null)"
ITS_EVENT = f"(select PAY_EVENT_ID from CISADM.CI_PAY_TNDR where PAY_TENDER_ID = {A_TENDER})"
SPOILT_CCB = {
    "a recharge is posted twice": (
        f"update CISADM.CI_PAY_TNDR set EXT_REFERENCE_ID = (select EXT_REFERENCE_ID from CISADM.CI_PAY_TNDR"
        f" where PAY_TENDER_ID = {A_TENDER}) where PAY_TENDER_ID = (select min(PAY_TENDER_ID) from"
        f" CISADM.CI_PAY_TNDR where EXT_REFERENCE_ID is not null)",
        "column='tenders', expected=1, found=2",
    ),
    "a recharge is not posted": (
        f"delete from CISADM.CI_PAY_TNDR where PAY_TENDER_ID = {A_TENDER}",
        "column='tenders', expected=1, found=0",
    ),
    "a recharge that no one made": (
        f"update CISADM.CI_PAY_TNDR set EXT_REFERENCE_ID = 'stranger' where PAY_TENDER_ID = {A_TENDER}",
        "key='stranger', column='known'",
    ),
    "a tender is a cent too much": (
        f"update CISADM.CI_PAY_TNDR set TENDER_AMT = TENDER_AMT + 0.01 where PAY_TENDER_ID = {A_TENDER}",
        "column='tender'",
    ),
    "a payment is a cent too little": (
        f"update CISADM.CI_PAY set PAY_AMT = PAY_AMT - 0.01 where PAY_EVENT_ID = {ITS_EVENT}",
        "column='payment'",
    ),
    "a payment is on another account": (
        f"update CISADM.CI_PAY set ACCT_ID = (select min(ACCT_ID) from CISADM.CI_ACCT) where PAY_EVENT_ID ="
        f" {ITS_EVENT}",
        "column='payment'",
    ),
    "a payment is not frozen": (
        f"update CISADM.CI_PAY set PAY_STATUS_FLG = '30' where PAY_EVENT_ID = {ITS_EVENT}",
        "column='payment'",
    ),
    "a change in CC&B that was not captured": (
        "update CISADM.CI_PER_NAME set ENTITY_NAME = 'Other,Name' where NAME_TYPE_FLG = 'PRIM' and PER_ID ="
        " (select max(PER_ID) from CISADM.CI_PER_NAME where NAME_TYPE_FLG = 'PRIM')",
        "CI_PER_NAME .*'Other,Name'",
    ),
}


@pytest.mark.parametrize("spoilt", SPOILT_CCB)
def test_what_is_wrong_in_ccb_is_found(sessions: Sessions, spoilt: str) -> None:
    statement, named = SPOILT_CCB[spoilt]
    with sessions.ccb.cursor() as cursor:
        cursor.execute(statement)
        assert cursor.rowcount > 0
    assert_finds(sessions, named)


ONE = "ctid = (select max(ctid) from {} where active)"
SPOILT_PREPAID = {
    "a recharge is not acknowledged": (
        "update recharge set posted_at = null where status = 'completed'",
        "column='payment'",
    ),
    "a recharge is acknowledged as another payment": (
        "update recharge set ccb_payment_id = 'another' where status = 'completed'",
        "column='payment'",
    ),
    "a customer has another name": (
        "update customer set full_name = 'x' where " + ONE.format("customer"),
        "column='full_name'",
    ),
    "a customer was not removed": (
        "insert into customer (ccb_person_id, full_name) values ('stranger', 'x')",
        "key='stranger'",
    ),
    "an account is not there": (
        "update account set active = false where " + ONE.format("account"),
        "table='account'",
    ),
    "a counter payment is a cent too much": (
        "update counter_payment set amount = amount + 0.01 where " + ONE.format("counter_payment"),
        "table='counter_payment'",
    ),
}


@pytest.mark.parametrize("spoilt", SPOILT_PREPAID)
def test_what_is_wrong_in_prepaid_is_found(sessions: Sessions, spoilt: str) -> None:
    statement, named = SPOILT_PREPAID[spoilt]
    assert sessions.prepaid.execute(statement.encode()).rowcount > 0
    assert_finds(sessions, named)


def test_nothing_is_found_where_nothing_is_wrong(sessions: Sessions) -> None:
    assert sessions.found() == ""


def assert_finds(sessions: Sessions, named: str) -> None:
    """The checker finds something, and its text holds the pattern."""
    with pytest.raises(AssertionError, match=named):
        assert sessions.found() == ""
