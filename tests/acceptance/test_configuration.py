"""Configuration and rules that cannot be used: every error at once, exit code 2, nothing written."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from mapping_rules.rule_files import SHIPPED
from tests.acceptance.site import Site

INVALID = """
[staging]
hst = "s"
database = "d"
user = "u"
[systems.prepaid]
kind = "postgres"
host = "p"
database = "d"
user = "u"
time_zone = "Africa/Duala"
[systems.ccb]
kind = "oracel"
[run]
max_chnages = 3
lease_ttl_s = 0
"""


@pytest.mark.parametrize("command", ["check", "run"])
def test_every_error_of_the_configuration_is_named_at_once(offline: Site, command: str) -> None:
    """An operator fixes the file in one go, whichever command found it."""
    offline.config.write_text(INVALID)
    done = offline.call(command, CCBRIDGE_STAGING__PASSWRD="canary")
    assert done.code == 2
    assert done.out == ""
    lines = done.err.removeprefix("error CDC-010: ").splitlines()
    assert set(lines) == {
        f"{offline.config}: staging.host: missing",
        f"{offline.config}: staging.hst: unknown key, did you mean 'host'?",
        "CCBRIDGE_STAGING__PASSWRD: unknown key, did you mean 'password'?",
        f"{offline.config}: systems.prepaid.time_zone: unknown time zone 'Africa/Duala', "
        "expected a name such as Africa/Douala",
        f"{offline.config}: systems.ccb.kind: expected 'jsonl', 'oracle' or 'postgres'",
        f"{offline.config}: run.max_chnages: unknown key, did you mean 'max_changes'?",
        f"{offline.config}: run.lease_ttl_s: expected greater than or equal to 3",
        "hint: ccbridge init writes a commented example",
    }


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "no such file\nhint: write one: ccbridge init --config "),
        (
            b"[staging\n",
            "not TOML: Expected ']' at the end of a table declaration (at line 1, column 9)\nhint: ",
        ),
        (b'[staging]\nhost = "\xe9"\n', "not UTF-8 at byte 18\nhint: "),
    ],
    ids=["missing", "no-toml", "latin-1"],
)
def test_a_file_that_cannot_be_read_is_named(offline: Site, content: bytes | None, error: str) -> None:
    """A missing or broken file is one line with its name and what to do."""
    offline.config.unlink()
    if content is not None:
        offline.config.write_bytes(content)
    done = offline.call("check")
    assert done.code == 2
    assert done.err.startswith(f"error CDC-010: {offline.config}: {error}")


def test_unsafe_connections_and_missing_files_are_refused_together(offline: Site) -> None:
    """Connections without TLS and files that are not there are found before anything is contacted."""
    text = (
        offline.configuration()
        .replace("tcps://", "")
        .replace("[payment_upload]", 'password_file = "nowhere"\n[payment_upload]')
    )
    offline.config.write_text(text)
    done = offline.call("check", CCBRIDGE_STAGING__SSLMODE="require")
    assert done.code == 2
    assert "staging: sslmode 'require' does not verify the server" in done.err
    assert "systems.ccb: dsn without tcps is not encrypted" in done.err
    assert f"systems.ccb.password_file: {offline.folder}/nowhere does not exist" in done.err


def test_a_system_that_the_rules_name_must_be_configured(offline: Site) -> None:
    """Rules for a system that is nowhere configured cannot run."""
    offline.config.write_text(offline.configuration().replace("[systems.ccb]", "[systems.cbb]"))
    del offline.environment["CCBRIDGE_SYSTEMS__CCB__PASSWORD"]
    done = offline.call("run", CCBRIDGE_SYSTEMS__CBB__PASSWORD="x")
    assert done.code == 2
    assert "configuration: [systems.ccb]: found no such section" in done.err


def test_usage_errors_have_the_same_exit_code(offline: Site) -> None:
    """An unknown option or command is exit code 2, as every usage error."""
    assert offline.call("run", "--cofnig", "x").code == 2
    assert offline.call("rnu").code == 2


def test_init_writes_a_file_that_loads_and_never_overwrites_one(offline: Site) -> None:
    """The first file is valid and private; the edited one is safe from a second `init`."""
    path = offline.folder / "new.toml"
    done = offline.call("init", "--config", str(path))
    assert done.code == 0
    assert f"ccbridge check --config {path}" in done.out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text(path.read_text().replace("staging.example", "127.0.0.1").replace("5432", "1"))
    edited = path.read_text()
    again = offline.call("init", "--config", str(path))
    assert again.code == 2
    assert "exists already" in again.err
    assert path.read_text() == edited
    unreachable = offline.call("status", "--config", str(path))
    assert unreachable.code == 3, "the file loads: the next thing is the connection"


@pytest.fixture
def broken_rules(offline: Site) -> Path:
    """A copy of the shipped rules with errors in several files."""
    folder = offline.folder / "rules"
    shutil.copytree(SHIPPED / "ccb_prepaid", folder)
    for name, right, wrong in (
        ("inbound/ci_per.yaml", "entity: person", "entity: persn"),
        ("entities/account.yaml", "type: text", "type: txt"),
        ("outbound/ccb_payment.yaml", "transform: [local_date]", "transform: [locl_date]"),
        ("outbound/customer.yaml", "name.full_name", "name.ful_name"),
    ):
        path = folder / name
        text = path.read_text()
        assert right in text
        path.write_text(text.replace(right, wrong, 1))
    offline.config.write_text(offline.configuration(rules=str(folder)))
    return folder


@pytest.mark.parametrize("command", [("rules", "check"), ("run",)])
def test_every_error_of_the_rules_is_named_with_its_place(
    offline: Site, broken_rules: Path, command: tuple[str, ...]
) -> None:
    """Unknown entity, type, transform and column: file, line, column and the nearest right name."""
    done = offline.call(*command, *([str(broken_rules)] if command[0] == "rules" else []))
    assert done.code == 2
    lines = done.err.partition("error CDC-301: ")[2].splitlines()
    assert [line.partition(":")[0] for line in lines[:4]] == [
        "entities/account.yaml",
        "inbound/ci_per.yaml",
        "outbound/ccb_payment.yaml",
        "outbound/customer.yaml",
    ]
    for wrong, right in (
        ("txt", "text"),
        ("persn", "person"),
        ("locl_date", "local_date"),
        ("ful_name", "full_name"),
    ):
        assert any(f"{wrong!r}, did you mean {right!r}?" in line for line in lines), done.err


def test_a_rule_that_does_not_fit_the_database_is_found_by_check(site: Site) -> None:
    """A column that the source does not have is named with its place in the rule, exit code 2."""
    folder = site.folder / "rules"
    shutil.copytree(SHIPPED / "ccb_prepaid", folder)
    rule = folder / "inbound/prepaid_recharge.yaml"
    rule.write_text(rule.read_text().replace("channel: channel", "channel: chanel"))
    other = folder / "inbound/ci_acct_per.yaml"
    other.write_text(other.read_text().replace("NOTIFY_SW, ", ""))
    site.config.write_text(site.configuration(rules=str(folder)))
    done = site.call("run")
    assert done.code == 2, done
    lines = done.err.splitlines()
    unknown = "found unknown column of public.recharge 'chanel', did you mean 'channel'?, "
    assert any(line.startswith(f"rules: inbound/prepaid_recharge.yaml:10:12: {unknown}") for line in lines), (
        done.err
    )
    forgotten = "column NOTIFY_SW of CISADM.CI_ACCT_PER is neither mapped nor ignored"
    assert any(forgotten in line for line in lines if "advice_reported" in line), "data may flow without it"
    assert "staging: database staging_" in done.err, "other errors are reported at the same time"
    assert site.untouched()
