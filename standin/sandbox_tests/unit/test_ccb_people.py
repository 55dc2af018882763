"""Synthetic customers: repeatable, fitting the columns, with the oddities of real sites."""

from __future__ import annotations

from collections import Counter

from sandbox.ccb.people import COLUMNS, Customers, Rows
from sandbox.ccb.schema import tables


def customers(persons: int, seed: int = 7) -> Rows:
    """All rows of one generator."""
    rows: Rows = {table: [] for table in COLUMNS}
    for batch in Customers(seed).batches(persons, size=500):
        for table, some in batch.items():
            rows[table] += some
    return rows


def column(rows: Rows, table: str, name: str) -> list[str]:
    place = COLUMNS[table].index(name)
    return [row[place] for row in rows[table]]


def test_same_seed_same_customers() -> None:
    """A failing demo can be repeated from its seed."""
    assert customers(300) == customers(300)
    assert customers(300) != customers(300, seed=8)


def test_texts_fit_their_columns_and_no_text_is_empty() -> None:
    """Nothing is longer than its column, and missing text is one blank (Oracle would make '' NULL)."""
    for table, rows in customers(1_500).items():
        columns = [tables()[table].columns[name] for name in COLUMNS[table]]
        for row in rows:
            for definition, value in zip(columns, row, strict=True):
                if isinstance(value, str):
                    assert 0 < len(value) <= definition.size, (table, definition.name)
                elif value is None:
                    assert definition.nullable


def test_keys_are_unique_and_parents_exist() -> None:
    """CC&B declares no foreign keys; the application keeps them, and so does the generator."""
    rows = customers(1_500)
    for table, some in rows.items():
        places = [COLUMNS[table].index(name) for name in tables()[table].key]
        keys = Counter(tuple(row[place] for place in places) for row in some)
        assert max(keys.values()) == 1, table
    for child, name, parent, key in (
        ("CI_PER_NAME", "PER_ID", "CI_PER", "PER_ID"),
        ("CI_ACCT_PER", "PER_ID", "CI_PER", "PER_ID"),
        ("CI_ACCT_PER", "ACCT_ID", "CI_ACCT", "ACCT_ID"),
        ("CI_SA", "ACCT_ID", "CI_ACCT", "ACCT_ID"),
        ("CI_SA_SP", "SA_ID", "CI_SA", "SA_ID"),
        ("CI_SA_SP", "SP_ID", "CI_SP", "SP_ID"),
        ("CI_SP", "PREM_ID", "CI_PREM", "PREM_ID"),
    ):
        assert set(column(rows, child, name)) <= set(column(rows, parent, key)), child


def test_the_awkward_cases_are_there() -> None:
    """What breaks replication in practice occurs: a demo without it proves nothing."""
    rows = customers(3_000)
    names = column(rows, "CI_PER_NAME", "ENTITY_NAME")
    assert any("'" in name for name in names)
    assert any("-" in name.split(",")[0] for name in names)
    assert any(len(character.encode()) == 4 for name in names for character in name)
    assert any("é" in name for name in names)
    primary = {row[0] for row in rows["CI_PER_NAME"] if row[3] == "PRIM"}
    assert 0 < len(rows["CI_PER"]) - len(primary) < 60
    accounts_with_main = {row[0] for row in rows["CI_ACCT_PER"] if row[3] == "Y"}
    assert 0 < len(rows["CI_ACCT"]) - len(accounts_with_main) < 60
    assert "N" in column(rows, "CI_ACCT_PER", "MAIN_CUST_SW")
    assert {"20", "60", "40"} <= set(column(rows, "CI_SA", "SA_STATUS_FLG"))
    assert "C1IN" in column(rows, "C1_PER_CONTDET", "CND_ACTINACT_FLG")
    assert any(person.startswith("0") for person in column(rows, "CI_PER", "PER_ID"))


def test_persons_without_a_primary_name_have_no_account() -> None:
    """The prepaid side cannot show a customer without a name, so nobody vends to one."""
    rows = customers(3_000)
    primary = {row[0] for row in rows["CI_PER_NAME"] if row[3] == "PRIM"}
    mains = {row[1] for row in rows["CI_ACCT_PER"] if row[3] == "Y"}
    assert mains <= primary
