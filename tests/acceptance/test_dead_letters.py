"""Rows that cannot be mapped or written: rejected with their reason, all else flows, fixed they flow."""

from __future__ import annotations

from typing import Any

from tests.acceptance.site import Running, Site, eventually


def held_in_status(site: Site) -> list[str]:
    """Held keys of the delivery to prepaid, as `status` has them: asked once a second."""
    lines = site.call("status").out.splitlines()
    return [line.split()[4] for line in lines if line.startswith("deliver:prepaid")]


def open_letters(site: Site) -> list[tuple[Any, ...]]:
    """Stage, system, table, key and reason code of what waits."""
    return site.staging(
        "select stage, system, table_name, key, reason_code from staging.dead_letter "
        "where resolved_at is null order by dead_letter_id"
    )


def resolutions(site: Site) -> list[tuple[Any, ...]]:
    """How the settled records were settled."""
    return site.staging(
        "select resolution, retries > 0 from staging.dead_letter where resolved_at is not null "
        "order by dead_letter_id"
    )


def wait_for(site: Site, running: Running, statement: str, expected: object) -> None:
    """Return when a query in prepaid gives that one value."""
    eventually(lambda: site.app(statement) == [(expected,)], statement, hint=lambda: running.text()[-5000:])


def test_a_row_that_cannot_be_mapped_waits_with_its_reason_and_flows_when_corrected(migrated: Site) -> None:
    """A code no lookup knows, a switch that is neither Y nor N: only these keys wait, in both directions."""
    site = migrated
    with site.running() as running:
        ((account, person),) = site.app(
            "select ccb_account_id, ccb_person_id from account order by 1 limit 1"
        )
        link = {"account": account, "person": person}
        site.recharge("strange", tender_type="gold")
        site.recharge("usual")
        site.oracle(
            "update CISADM.CI_ACCT_PER set MAIN_CUST_SW = 'X' where ACCT_ID = :account and PER_ID = :person",
            **link,
        )
        site.oracle("update CISADM.CI_PER set LANGUAGE_CD = 'ENG' where PER_ID = :person", person=person)
        site.oracle("update CISADM.CI_PER set LANGUAGE_CD = 'FRA' where PER_ID = :person", person=person)
        eventually(lambda: len(open_letters(site)) == 2, "two dead letters", hint=running.text)
        eventually(lambda: site.receipts() == [("usual", "sent")], "the other recharge", hint=running.text)
        wait_for(site, running, f"select language from customer where ccb_person_id = '{person}'", "fr")
        letters = {letter[1]: letter for letter in open_letters(site)}
        assert letters["prepaid"][:4] == ("map", "prepaid", "public.recharge", {"recharge_id": "strange"})
        assert letters["ccb"][2:4] == ("CISADM.CI_ACCT_PER", {"ACCT_ID": account, "PER_ID": person})
        raw = site.staging("select system, reason, raw from staging.dead_letter order by system")
        assert raw[0][2]["MAIN_CUST_SW"] == "X"
        assert "MAIN_CUST_SW" in raw[0][1]
        assert raw[1][2]["tender_type"] == "gold"
        assert "tender_type" in raw[1][1]
        assert "gold" not in raw[1][1], "the reason names the column, not the value"
        assert site.app("select ccb_person_id from account where ccb_account_id = %s", account) == [(person,)]
        status = site.call("status")
        assert status.code == 1
        assert max(map(len, status.out.splitlines())) <= 80
        for system, *_, code in letters.values():
            assert any(system in line and code in line for line in status.out.splitlines())
        site.app("update recharge set tender_type = 'card' where recharge_id = 'strange'")
        site.oracle(
            "update CISADM.CI_ACCT_PER set MAIN_CUST_SW = 'Y' where ACCT_ID = :account and PER_ID = :person",
            **link,
        )
        eventually(lambda: open_letters(site) == [], "all settled", hint=running.text)
        eventually(
            lambda: ("strange", "sent") in site.receipts(), "the corrected recharge", hint=running.text
        )
        assert [how for how, _ in resolutions(site)] == ["superseded", "superseded"]
        site.wait_until_delivered(running)
        assert site.app("select ccb_person_id from account where ccb_account_id = %s", account) == [(person,)]
        assert site.call("status").code == 0


def test_a_row_that_the_target_refuses_is_held_and_delivered_when_the_cause_is_gone(migrated: Site) -> None:
    """A trigger that raises, a constraint that is violated: only these keys are held, then retried."""
    site = migrated
    with site.running() as running:
        first, second, third = (
            person for (person,) in site.app("select ccb_person_id from customer order by 1 limit 3")
        )
        ((longest,),) = site.app("select max(length(full_name)) from customer")
        for statement in (
            f"alter table customer add constraint short check (length(full_name) <= {longest})",
            "create function refuse() returns trigger language plpgsql as "
            "$$ begin raise exception 'customer % is locked', new.ccb_person_id; end $$",
            "create trigger refuse before update on customer for each row "
            f"when (new.ccb_person_id = '{first}') execute function refuse()",
        ):
            site.prepaid_admin(statement)
        with site.connected() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "update CISADM.CI_PER_NAME set ENTITY_NAME = :1 where PER_ID = :2 and NAME_TYPE_FLG = 'PRIM'",
                [("Ndongo,Aïcha", first), ("N" * (longest + 1), second), ("Mbarga,Paul", third)],
            )
            connection.commit()
        wait_for(
            site, running, f"select full_name from customer where ccb_person_id = '{third}'", "Mbarga,Paul"
        )
        eventually(lambda: len(open_letters(site)) == 2, "two held keys", hint=running.text)
        assert {(stage, system, table) for stage, system, table, *_ in open_letters(site)} == {
            ("deliver", "prepaid.upsert", "public.customer")
        }
        assert [key["ccb_person_id"] for *_, key, _ in open_letters(site)] == sorted([first, second])
        reasons = [reason for (reason,) in site.staging("select reason from staging.dead_letter")]
        assert not any(first in reason or "NNN" in reason for reason in reasons), reasons
        status = site.call("status")
        assert status.code == 1
        assert max(map(len, status.out.splitlines())) <= 80
        eventually(lambda: held_in_status(site) == ["2"], "the flow tells of both", hint=running.text)
        eventually(
            lambda: site.staging("select min(retries) from staging.dead_letter") > [(0,)],
            "retries",
            hint=running.text,
        )
        site.prepaid_admin("drop trigger refuse on customer")
        site.prepaid_admin("alter table customer drop constraint short")
        eventually(lambda: open_letters(site) == [], "all delivered", hint=running.text)
        wait_for(
            site, running, f"select full_name from customer where ccb_person_id = '{first}'", "Ndongo,Aïcha"
        )
        wait_for(
            site,
            running,
            f"select length(full_name) from customer where ccb_person_id = '{second}'",
            longest + 1,
        )
        assert resolutions(site) == [("delivered", True), ("delivered", True)]
        eventually(lambda: site.call("status").code == 0, "status is content again")


def test_bytes_that_are_not_text_reject_their_row_alone_until_they_are_corrected(migrated: Site) -> None:
    """A client with a wrong NLS_LANG left them: one name waits with its key, the others flow."""
    site = migrated
    (bad,), (good,) = site.oracle("select PER_ID from CISADM.CI_PER order by PER_ID fetch first 2 rows only")
    rename = "update CISADM.CI_PER_NAME set ENTITY_NAME = {} where PER_ID = :person and PRIM_NAME_SW = 'Y'"
    name = "select full_name from customer where ccb_person_id = '{}'"
    with site.running() as running:
        ((before,),) = site.app(name.format(bad))
        site.oracle(rename.format("utl_raw.cast_to_varchar2(hextoraw('4E6FEB6C2C4A'))"), person=bad)
        site.oracle(rename.format("'Fine,One'"), person=good)
        wait_for(site, running, name.format(good), "Fine,One")
    (letter,) = open_letters(site)
    assert letter[1:3] == ("ccb", "CISADM.CI_PER_NAME")
    assert (letter[3]["PER_ID"], letter[4]) == (bad, "unreadable_value")
    ((reason, raw),) = site.staging("select reason, raw from staging.dead_letter where resolved_at is null")
    assert "column ENTITY_NAME" in reason
    assert raw["ENTITY_NAME"].endswith(r"No\xebl,J")
    status = site.call("status")
    assert status.code == 1
    assert "unreadable_value" in status.out
    with site.running() as again:
        site.oracle(rename.format("'Fine,Two'"), person=good)
        wait_for(site, again, name.format(good), "Fine,Two")
        assert site.app(name.format(bad)) == [(before,)]
        site.oracle(rename.format("'Corrected,J'"), person=bad)
        wait_for(site, again, name.format(bad), "Corrected,J")
        eventually(lambda: open_letters(site) == [], "settled", hint=again.text)
    assert [how for how, _ in resolutions(site)] == ["superseded"]
