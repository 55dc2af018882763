"""What the sandbox's own comparison expects prepaid to show for rows of CC&B."""

from __future__ import annotations

from typing import Any

from sandbox.workload.verify import Account, Customer, expected_accounts, expected_customers


def rows(**tables: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows by table; tables not given are empty."""
    names = ("CI_PER", "CI_PER_NAME", "CI_PER_ID", "C1_PER_CONTDET", "CI_ACCT", "CI_ACCT_PER")
    return {name: [] for name in (*names, "CI_SA", "CI_SA_SP", "CI_PREM")} | tables


def contact(key: str, value: str, *, primary: str = "C1NO", active: str = "C1AC") -> dict[str, str]:
    return {
        "C1_CONTACT_ID": key,
        "PER_ID": "1",
        "COMM_RTE_TYPE_CD": "CELLPHONE",
        "CONTACT_VALUE": value,
        "CND_PRIMARY_FLG": primary,
        "CND_ACTINACT_FLG": active,
    }


def test_phone_is_the_primary_active_mobile_then_the_lowest_contact() -> None:
    """Inactive contacts do not count; a primary one wins; ties go to the lowest id, whatever the order."""
    people = rows(
        CI_PER=[{"PER_ID": "1", "LANGUAGE_CD": "FRA"}],
        CI_PER_NAME=[
            {"PER_ID": "1", "ENTITY_NAME": "Autre", "NAME_TYPE_FLG": "ALIA"},
            {"PER_ID": "1", "ENTITY_NAME": "Nom", "NAME_TYPE_FLG": "PRIM"},
        ],
        C1_PER_CONTDET=[
            contact("9", "ninth", primary="C1YS"),
            contact("8", "eighth", primary="C1YS"),
            contact("1", "inactive", primary="C1YS", active="C1IN"),
            contact("2", "second"),
        ],
    )
    assert expected_customers(people) == {"1": Customer("Nom", "eighth", None, "fr", None)}
    people["C1_PER_CONTDET"] = [contact("9", "ninth"), contact("2", "second")]
    assert expected_customers(people)["1"].phone == "second"


def test_person_without_primary_name_is_not_expected() -> None:
    """Nor is the account whose main customer he is."""
    people = rows(
        CI_PER=[{"PER_ID": "1", "LANGUAGE_CD": "ENG"}],
        CI_PER_NAME=[{"PER_ID": "1", "ENTITY_NAME": "Alias", "NAME_TYPE_FLG": "ALIA"}],
        CI_ACCT=[{"ACCT_ID": "A", "CUST_CL_CD": "RES", "CURRENCY_CD": "XAF"}],
        CI_ACCT_PER=[{"ACCT_ID": "A", "PER_ID": "1", "MAIN_CUST_SW": "Y"}],
    )
    customers = expected_customers(people)
    assert customers == {}
    assert expected_accounts(people, customers) == {}


def test_account_shows_its_active_prepaid_agreement_and_current_service_point() -> None:
    """Active agreement before lower id, other types never, stopped links never, lowest link first."""
    customers = {"1": Customer("Nom", None, None, "fr", None)}
    accounts = rows(
        CI_ACCT=[{"ACCT_ID": "A", "CUST_CL_CD": "RES", "CURRENCY_CD": "XAF"}],
        CI_ACCT_PER=[
            {"ACCT_ID": "A", "PER_ID": "2", "MAIN_CUST_SW": "N"},
            {"ACCT_ID": "A", "PER_ID": "1", "MAIN_CUST_SW": "Y"},
        ],
        CI_SA=[
            {"SA_ID": "1", "ACCT_ID": "A", "SA_TYPE_CD": "WATER", "SA_STATUS_FLG": "20", "CHAR_PREM_ID": "P"},
            {"SA_ID": "2", "ACCT_ID": "A", "SA_TYPE_CD": "PPD", "SA_STATUS_FLG": "60", "CHAR_PREM_ID": "P"},
            {"SA_ID": "3", "ACCT_ID": "A", "SA_TYPE_CD": "PPD", "SA_STATUS_FLG": "20", "CHAR_PREM_ID": "P"},
        ],
        CI_SA_SP=[
            {"SA_SP_ID": "1", "SA_ID": "3", "SP_ID": "old", "STOP_DTTM": "2025"},
            {"SA_SP_ID": "3", "SA_ID": "3", "SP_ID": "later", "STOP_DTTM": None},
            {"SA_SP_ID": "2", "SA_ID": "3", "SP_ID": "now", "STOP_DTTM": None},
        ],
        CI_PREM=[{"PREM_ID": "P", "ADDRESS1": "1 rue", "ADDRESS2": None, "ADDRESS3": "cour", "CITY": None}],
    )
    assert expected_accounts(accounts, customers) == {
        "A": Account("1", "RES", "XAF", "3", "20", "now", "1 rue, cour", None, may_vend=True)
    }
    accounts["CI_SA"][2]["SA_STATUS_FLG"] = "40"
    stopped = expected_accounts(accounts, customers)["A"]
    assert (stopped.agreement_id, stopped.may_vend) == ("2", False)


def test_account_without_agreement_is_shown_and_may_not_vend() -> None:
    """An account exists for prepaid as soon as it has a main customer."""
    accounts = rows(
        CI_ACCT=[{"ACCT_ID": "A", "CUST_CL_CD": "RES", "CURRENCY_CD": "XAF"}],
        CI_ACCT_PER=[{"ACCT_ID": "A", "PER_ID": "1", "MAIN_CUST_SW": "Y"}],
    )
    (account,) = expected_accounts(accounts, {"1": Customer("Nom", None, None, None, None)}).values()
    assert account == Account("1", "RES", "XAF", None, None, None, None, None, may_vend=False)
