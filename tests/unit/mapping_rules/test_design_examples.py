"""The examples of the design load as written and mean what they say."""

from __future__ import annotations

import polars as pl

from cdc.changes import SourceType
from mapping_rules import Kind
from tests.unit.mapping_rules.sets import changes, program, rule_set, table

PERSON = "entity: person\nkey: [person_id]\ncolumns: {person_id: {type: text}, language: {type: text}}\n"
PERSON_CONTACT = """\
entity: person_contact
key: [contact_id]
columns:
  contact_id: {type: text}
  person_id:  {type: text, references: person}
  value:      {type: text, personal: true}          # masked for auditors without the right to see it
  kind:       {type: text, lookup: contact_kind}
  email_ok:   {type: boolean}
  primary:    {type: boolean}
"""
PERSON_NAME = """\
entity: person_name
key: [person_id]
columns: {person_id: {type: text, references: person}, full_name: {type: text}, label: {type: text}}
"""
INBOUND = """\
system: ccb
table: CI_PER_NAME
key: [PER_ID, SEQ_NUM]
entity: person_name
where: {NAME_TYPE_FLG: "PRIM"}                       # a row that stops matching leaves the entity
columns:
  person_id: PER_ID                                  # typed copy; CC&B blanks, padding, switches handled by system defaults
  full_name: {from: ENTITY_NAME, transform: [collapse_spaces]}
  label:     {sql: "CONCAT_WS(' ', ENTITY_NAME, NAME_TYPE_FLG)"}   # escape hatch: one Polars SQL expression, no I/O, checked at load
ignore: [ENTITY_NAME_UPR, VERSION]                   # every source column is mapped or ignored
"""  # noqa: E501 - as the design has it
OUTBOUND = """\
to: prepaid
table: public.customer
sink: upsert
key: {ccb_person_id: person.person_id}
from: person
join:
  name:  {entity: person_name, on: person_id}
  phone: {entity: person_contact, on: person_id, where: {kind: mobile}, pick: {order: [primary desc, contact_id]}}
columns: {full_name: name.full_name, phone: phone.value, language: {from: person.language, lookup: iso_language}, active: {value: true}}
on_delete: deactivate
"""  # noqa: E501 - as the design has it
KINDS = "lookup: contact_kind\nvalues: {CELLPHONE: mobile}\ndefault: other\n"
LANGUAGES = "lookup: iso_language\nvalues: {ENG: en}\ndefault: null\n"
NAMES = table(
    {
        "PER_ID": SourceType.TEXT,
        "SEQ_NUM": SourceType.NUMBER,
        "ENTITY_NAME": SourceType.TEXT,
        "NAME_TYPE_FLG": SourceType.TEXT,
    },
    ["PER_ID", "SEQ_NUM"],
    name="CI_PER_NAME",
)


def name_row(sequence: int, kind: str, name: str = "A  B ") -> dict[str, str]:
    return {"PER_ID": "1", "SEQ_NUM": str(sequence), "ENTITY_NAME": name, "NAME_TYPE_FLG": kind}


EXAMPLES = rule_set(
    entities__person=PERSON,
    entities__person_contact=PERSON_CONTACT,
    entities__person_name=PERSON_NAME,
    inbound__ci_per_name=INBOUND,
    outbound__customer=OUTBOUND,
    lookups__contact_kind=KINDS,
    lookups__iso_language=LANGUAGES,
)


def test_the_entity_example_loads() -> None:
    """Personal data, lookups and references come through."""
    columns = EXAMPLES.entities["person_contact"].columns
    assert columns["value"].personal
    assert columns["kind"].lookup == "contact_kind"
    assert columns["person_id"].references == "person"
    assert columns["email_ok"].type.kind is Kind.BOOLEAN


def test_the_inbound_example_maps_transform_and_sql() -> None:
    """The named transform and the SQL expression see values without padding."""
    given = [
        {"operation": "c", "after": name_row(1, "PRIM")},
        {"operation": "c", "after": name_row(2, "ALT ")},
    ]
    rows = program(EXAMPLES).apply(changes(NAMES, given)).rows
    assert rows.select("person_id", "full_name", "label", "tombstone").rows() == [
        ("1", "A B", "A  B PRIM", False)
    ]


def test_the_name_that_becomes_primary_is_not_deleted_by_the_one_that_was() -> None:
    """Within a transaction the order of the two updates is chance and must not matter."""
    becomes = {
        "operation": "u",
        "position": 5,
        "before": name_row(2, "ALT ", "New"),
        "after": name_row(2, "PRIM", "New"),
    }
    ceases = {"operation": "u", "position": 5, "before": name_row(1, "PRIM"), "after": name_row(1, "ALT ")}
    for given in ([becomes, ceases], [ceases, becomes]):
        rows = program(EXAMPLES).apply(changes(NAMES, given)).rows
        assert rows.select("full_name", "tombstone").rows() == [("New", False)]
    gone = program(EXAMPLES).apply(changes(NAMES, [ceases])).rows
    assert gone.select("person_id", "full_name", "tombstone").rows() == [("1", None, True)]
    assert gone.schema["full_name"] == pl.String
