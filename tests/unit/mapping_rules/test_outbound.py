"""Outbound rules: what is refused at load, and the order in which targets are written."""

from __future__ import annotations

import pytest

from cdc.errors import RuleErrors
from mapping_rules import compile_outbound, from_files, load
from mapping_rules.language.model import EntityType, Kind
from sinks.ccb_payment_upload.rules import UPLOAD_STAGING_TABLES, may_write
from tests.unit.mapping_rules.sets import rule_set, texts

PERSON = """\
entity: person
key: [person_id]
columns:
  person_id: {type: text}
  language: {type: text}
  size: {type: text, lookup: size}
  active: {type: boolean}
"""
NAME = """\
entity: person_name
key: [person_id, sequence]
columns: {person_id: {type: text, references: person}, sequence: {type: integer}, name: {type: text}}
"""
RULE = """\
to: prepaid
table: customer
sink: upsert
key: {ccb_person_id: person.person_id}
from: person
join:
  name: {entity: person_name, on: person_id, pick: {order: [sequence]}}
columns: {full_name: name.name, active: {value: true}}
on_delete: deactivate
"""
SIZES = "lookup: size\nvalues: [small, large]\n"
OTHER = "lookup: other\nvalues: {small: S}\n"
FILES = {
    "entities__person": PERSON,
    "entities__person_name": NAME,
    "lookups__size": SIZES,
    "lookups__other": OTHER,
}


def errors(rule: str) -> str:
    with pytest.raises(RuleErrors) as raised:
        from_files("test", texts(outbound__customer=rule, **FILES))
    return "\n".join(raised.value.errors)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("name.name", "nam.name", "unknown join 'nam', did you mean 'name'?"),
        ("name.name", "name.nam", "unknown column of person_name 'nam', did you mean 'name'?"),
        ("on: person_id", "on: {person_id: later.person_id}", "unknown join 'later'"),
        (
            "join:",
            "join:\n  a: {entity: person_name, on: {person_id: name.person_id}, pick: {order: [sequence]}}",
            "join 'a' needs 'name', which is not above it",
        ),
        ("person.person_id", "person.language", "key ccb_person_id: expected a key column of person"),
        ("[sequence]", "[sequence down]", "expected a column, then perhaps asc or desc"),
        ("on: person_id", "on: {sequence: person.person_id}", "is integer, person.person_id is text"),
        ("on: person_id", "on: {name: person.language}", "no index leads to person_name by name"),
        (
            "full_name: name.name",
            "full_name: {from: person.size, lookup: other}",
            "needs a default or: large",
        ),
        ("full_name: name.name", "full_name: {from: person.language, lookup: other}", "may hold any text"),
        (
            "full_name: name.name",
            "full_name: {from: name.name, if_null: 3}",
            "if_null of full_name: expected a text",
        ),
        (
            "full_name: name.name",
            "full_name: {from: name.name, transform: [local_date]}",
            "takes timestamp, found text",
        ),
        ("active: {value: true}", "ok: {value: true}", "so columns must say when it is true"),
        ("active: {value: true}", 'active: {value: "yes"}', "expected a boolean"),
        ("on_delete: deactivate", "on_delete: drop", "unknown on_delete 'drop', expected one of"),
        ("on_delete: deactivate", "on_delete: ignore\nrequire: [name]", "unknown target column 'name'"),
        (
            "on_delete: deactivate",
            'on_delete: ignore\nwhere: {active: "Y"}',
            "active: expected true or false",
        ),
    ],
)
def test_what_cannot_work_is_said_at_load(old: str, new: str, error: str) -> None:
    """Nothing of it waits for the first row at night."""
    assert error in errors(RULE.replace(old, new))


@pytest.mark.parametrize("name", ["CI_PAY", "CI_PER", "C1_PER_CONTDET", "ci_ft", "CI_PAY_TNDR"])
def test_base_tables_of_ccb_cannot_be_written(name: str) -> None:
    """A payment inserted there would have no segments and never move a balance."""
    assert not may_write(name)
    rule = RULE.replace("to: prepaid", "to: ccb").replace("customer", f"CISADM.{name}")
    assert f"CISADM.{name} is a CC&B base table" in errors(rule)


def test_upload_staging_and_site_tables_may_be_written() -> None:
    """The documented ways in, and what belongs to the site."""
    assert all(may_write(name) for name in (*UPLOAD_STAGING_TABLES, "CM_RECHARGE"))


def test_parents_are_written_before_those_that_refer_to_them() -> None:
    """An account's foreign key finds its customer there in the same transaction."""
    programs = compile_outbound(load("ccb_prepaid"), "prepaid")
    assert [program.name for program in programs] == [
        "customer",
        "account",
        "counter_payment",
        "recharge_acknowledgement",
    ]


def test_a_program_says_what_the_sink_needs() -> None:
    """Key, columns with types, and what becomes of rows that are gone."""
    (program,) = compile_outbound(rule_set(outbound__customer=RULE, **FILES), "prepaid")
    assert (program.key, program.columns) == (("ccb_person_id",), ("full_name", "active"))
    assert program.column_types["active"] == EntityType(Kind.BOOLEAN)
    assert (program.on_delete, program.deactivate_column) == ("deactivate", "active")
    assert program.entities == ("person", "person_name")
    assert str(program.table) == "public.customer"
    assert not program.update_only


def test_no_per_cent_sign_but_in_placeholders() -> None:
    """Drivers read a per cent sign as a placeholder, with parameters or without."""
    rule = RULE.replace("full_name: name.name", "full_name: {from: name.name, if_null: \"100% 'sure' \\\\\"}")
    (program,) = compile_outbound(rule_set(outbound__customer=rule, **FILES), "prepaid")
    assert "%" not in program.desired_sql
    assert program.changed_keys_sql.replace("%(low)s", "").replace("%(high)s", "").count("%") == 0
