"""The registry of kinds of system: every name in it stands for something that fits."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest
import typer

import mapping_rules
from cdc.config import load
from cdc.config.sections import Section, SystemSection
from cdc.errors import ConfigurationError
from cdc.flows import wiring
from cdc.kinds import EXTENSIONS, KINDS, resolve, resolved, sink_names
from cdc.ports import OracleStatements, SinkKind
from cdc.rule_set import load_rules
from mapping_rules.language.extension import RuleExtension
from sinks.ccb_payment_upload.section import PaymentUpload, ReceiptAlarm

ROOT = Path(__file__).parents[3]
CONFIGURATION = """
[staging]
host = "staging"
database = "staging"
user = "ccbridge"

[systems.ccb]
kind = "oracle"
dsn = "tcps://ccb:2484/CCB"
user = "CCBRIDGE"

[systems.prepaid]
"""


@pytest.mark.parametrize("name", KINDS)
def test_every_name_of_a_kind_stands_for_what_it_should(name: str) -> None:
    """A typing error in the table is found here, not when a site first uses that kind."""
    kind = KINDS[name]
    section = resolve(kind.section)
    assert issubclass(section, SystemSection)
    assert typing.get_args(section.model_fields["kind"].annotation) == (name,)
    assert section.model_fields["reader"].default == next(iter(kind.readers), "")
    for reader in kind.readers.values():
        assert callable(resolve(reader))
    for sink in kind.sinks.values():
        assert isinstance(resolve(sink), SinkKind)
    for other in (*kind.checks, *filter(None, [kind.grants])):
        assert callable(resolve(other))
    assert kind.readers or kind.sinks
    assert kind.script in ("psql", "sqlplus", "")


@pytest.mark.parametrize("sink", EXTENSIONS)
def test_every_name_of_an_extension_stands_for_what_it_should(sink: str) -> None:
    """A sink that there is, and values of the types that the rooms expect."""
    assert sink in sink_names()
    one = EXTENSIONS[sink]
    assert all(issubclass(resolve(section), Section) for section in one.sections.values())
    kinds = {"rules": RuleExtension, "command": typer.Typer, "statements": OracleStatements}
    for part, kind in kinds.items():
        assert all(isinstance(found, kind) for found in resolved([getattr(one, part)])), part
    assert all(map(callable, resolved([one.tables, one.status, one.grants])))


def test_a_section_of_a_sink_is_asked_for_by_its_class(tmp_path: Path) -> None:
    """Its keys are read, misspelt ones named; a wrong class is an error of the code that asks."""
    path = tmp_path / "ccbridge.toml"
    system = CONFIGURATION + 'kind = "jsonl"\ndirectory = "rows"\n'
    path.write_text(system + '[payment_upload]\ntender_type = "CARD"\n[status]\nreceipt_alarm_s = 5\n')
    settings = load(path, {})
    assert settings.section("payment_upload", PaymentUpload).tender_type == "CARD"
    assert settings.section("status", ReceiptAlarm).receipt_alarm_s == 5
    with pytest.raises(TypeError, match="expected ReceiptAlarm"):
        settings.section("payment_upload", ReceiptAlarm)
    path.write_text(system + "[status]\nreceipt_alarm = 5\nlag_alarm_s = 3\n")
    with pytest.raises(ConfigurationError, match="did you mean 'receipt_alarm_s'"):
        load(path, {})


def test_the_rule_language_knows_the_sinks_of_all_kinds() -> None:
    """A sink is registered once, and rules may name it."""
    assert {rule.sink for rule in mapping_rules.load("ccb_prepaid").outbound} <= set(sink_names())
    assert '"jsonl"' in (ROOT / "mapping_rules/schema/outbound.json").read_text()


def test_a_sink_that_the_kind_does_not_have_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    """Found before anything is contacted, with what would fit."""
    path = tmp_path / "ccbridge.toml"
    path.write_text(CONFIGURATION + 'kind = "jsonl"\ndirectory = "rows"\n')
    settings = load(path, {})
    with pytest.raises(ConfigurationError, match=r"sink 'upsert', system 'prepaid' \(jsonl\) has 'jsonl'"):
        wiring.programs(settings, load_rules(settings), "prepaid")
    with pytest.raises(ConfigurationError, match="system prepaid: no reader for kind 'jsonl'"):
        wiring.open_reader(settings, load_rules(settings), "prepaid")
