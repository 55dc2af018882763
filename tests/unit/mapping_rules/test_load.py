"""Loading: every error at once, each where it is, with the name that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.errors import RuleErrors
from mapping_rules import from_files, load
from mapping_rules.language.tree import MAX_BYTES
from tests.unit.mapping_rules.sets import rule_set, texts

ENTITY = """\
entity: account
key: [account_id]
columns:
  account_id: {type: text}
  currency: {type: text}
"""
INBOUND = """\
system: ccb
table: CI_ACCT
key: [ACCT_ID]
entity: account
columns: {account_id: ACCT_ID, currency: CURRENCY_CD}
"""


def errors(**files: str) -> tuple[str, ...]:
    with pytest.raises(RuleErrors) as raised:
        from_files("test", texts(**files))
    return raised.value.errors


def test_a_misspelt_transform_is_named_with_its_place_and_the_nearest_name() -> None:
    """The line an editor can jump to, and what was probably meant."""
    wrong = INBOUND.replace("CURRENCY_CD}", "{from: CURRENCY_CD, transform: [rtirm]}}")
    column = wrong.splitlines()[4].index("rtirm") + 1
    assert errors(entities__account=ENTITY, inbound__ci_acct=wrong) == (
        f"inbound/ci_acct.yaml:5:{column}: unknown transform 'rtirm', did you mean 'rtrim'?",
    )


def test_all_errors_of_all_files_come_at_once() -> None:
    """One run of the check is enough to fix everything."""
    found = errors(
        entities__account=ENTITY.replace("{type: text}\n", "{typ: text}\n", 1),
        inbound__ci_acct=INBOUND.replace("system: ccb", "system: cbb").replace("entity:", "entitty:"),
    )
    text = "\n".join(found)
    assert "entities/account.yaml:4:16: unknown key 'typ', did you mean 'type'?" in text
    assert "entities/account.yaml:4:15: column account_id needs the key 'type'" in text
    assert "inbound/ci_acct.yaml:1:9: unknown system 'cbb', did you mean 'ccb'?" in text
    assert "inbound/ci_acct.yaml:4:1: unknown key 'entitty', did you mean 'entity'?" in text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("entity: a\nentity: b\n", "2:1: duplicate key 'entity', first in line 1"),
        ("a: &x [1]\nb: *x\n", "2:4: aliases are not allowed"),
        ("entity: !!python/name:os.system x\n", "1:9: tag"),
        ("a: 1\n--- \nb: 2\n", "2:1: expected one YAML document"),
        ("entity: [1\n", "not YAML: "),
        ("", "1:1: the file is empty"),
        ("- a\n", "1:1: expected a mapping"),
        ("a: " + "[" * 50 + "]" * 50 + "\n", "nested deeper than 20 levels"),
        ("a: '" + "x" * MAX_BYTES + "'\n", "larger than"),
        ("key: [010]\n", "1:7: expected a text, found 010, put it in quotes"),
    ],
)
def test_only_plain_yaml_is_read(text: str, error: str) -> None:
    """A rule file cannot run code, blow up memory or say two things under one key."""
    assert any(line.startswith("entities/x.yaml:") and error in line for line in errors(entities__x=text))


def test_no_is_text_and_not_false() -> None:
    """Codes such as NO survive; YAML 1.1 readers would make them false."""
    loaded = rule_set(lookups__country="lookup: country\nvalues: {NO: norway, Y: yes}\n")
    assert loaded.lookups["country"].values == {"NO": "norway", "Y": "yes"}


def test_two_systems_feeding_one_entity_are_refused() -> None:
    """Whose value wins is not decided by chance; until rules can say it, it is a error."""
    other = INBOUND.replace("system: ccb", "system: prepaid").replace("CI_ACCT", "account")
    (error,) = errors(entities__account=ENTITY, inbound__ci_acct=INBOUND, inbound__prepaid=other)
    assert "prepaid.yaml:4:9: entity account is fed by system ccb" in error
    assert "not supported in this release" in error


def test_decide_is_refused_while_one_system_feeds_an_entity() -> None:
    """No option is accepted that does nothing."""
    wrong = ENTITY.replace("currency: {type: text}", "currency: {type: text, decide: latest}")
    assert errors(entities__account=wrong) == (
        "entities/account.yaml:5:34: decide needs two systems feeding the entity, which this release"
        " does not support",
    )


def test_an_entity_key_must_tell_source_rows_apart() -> None:
    """Two source rows sharing an entity row would overwrite one another without end."""
    wrong = INBOUND.replace("key: [ACCT_ID]", "key: [ACCT_ID, SEQ]")
    (error,) = errors(entities__account=ENTITY, inbound__ci_acct=wrong)
    assert "source key column SEQ is not in the key of entity account" in error
    rule_set(entities__account=ENTITY, inbound__ci_acct=wrong + 'where: {MAIN_SW: "Y"}\n')


@pytest.mark.parametrize("column", ["source_position", "tombstone", "valid_from"])
def test_entities_cannot_take_the_names_of_staging_columns(column: str) -> None:
    """They would collide with the provenance that every staged row carries."""
    wrong = ENTITY.replace("currency:", f"{column}:")
    assert "a column that every staging table has" in errors(entities__account=wrong)[0]


def test_an_entity_column_that_nothing_feeds_is_an_error() -> None:
    """It would be empty for ever and look as if the source had no value."""
    wrong = INBOUND.replace(", currency: CURRENCY_CD", "")
    assert "column 'currency' of entity account is fed by nothing" in "".join(
        errors(entities__account=ENTITY, inbound__ci_acct=wrong)
    )


def test_the_digest_changes_with_any_file_and_with_nothing_else() -> None:
    """Staging keeps rule sets by digest: it must tell two sets apart, and know one again."""
    files = texts(entities__account=ENTITY, inbound__ci_acct=INBOUND)
    digest = from_files("a", files).digest
    assert from_files("b", dict(reversed(files.items()))).digest == digest
    files["inbound/ci_acct.yaml"] += "# a comment\n"
    assert from_files("a", files).digest != digest


def test_an_unknown_set_names_those_that_exist(tmp_path: Path) -> None:
    """A typing error in the configuration is answered with the right name."""
    with pytest.raises(RuleErrors, match=r"did you mean 'ccb_prepaid'"):
        load("ccb_prepayd")
    (tmp_path / "inbund").mkdir()
    (tmp_path / "inbund" / "x.yaml").write_text("a: 1\n")
    with pytest.raises(RuleErrors, match=r"inbund/x.yaml:1:1: unknown place .* 'inbound/x.yaml'"):
        load(tmp_path)


def test_the_site_may_name_the_schema() -> None:
    """CC&B's schema owner differs by site; rules need no copy for that."""
    files = texts(entities__account=ENTITY, inbound__ci_acct=INBOUND)
    loaded = from_files("test", files, schemas={"ccb": "SPLADM"})
    assert str(loaded.inbound[0].table) == "SPLADM.CI_ACCT"
