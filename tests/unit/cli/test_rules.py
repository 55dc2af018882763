"""Which rule set the verbs of `ccbridge rules` take, and how errors are shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cdc.cli.main import app
from cdc.errors import RuleErrors
from mapping_rules.rule_files import SHIPPED


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration whose rule set has an error; the current one."""
    shutil.copytree(SHIPPED / "ccb_prepaid", tmp_path / "my_rules")
    (tmp_path / "my_rules/inbound/ci_per.yaml").write_text("no: [yaml")
    (tmp_path / "ccbridge.toml").write_text('[rules]\npath = "my_rules"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("verb", ["check", "test", "show"])
def test_the_configured_rule_set_is_taken(site: Path, verb: str) -> None:
    """A pipeline that runs the verbs as documented fails where `run` would."""
    done = CliRunner().invoke(app, ["rules", verb])
    assert isinstance(done.exception, RuleErrors)
    assert f"rules: {site}/my_rules (rules.path of ccbridge.toml)" in done.stderr
    given = CliRunner().invoke(app, ["rules", verb, "ccb_prepaid"])
    assert given.exit_code == 0
    assert "rules: ccb_prepaid (as given)" in given.stderr


def test_a_configuration_that_was_named_must_be_there(site: Path) -> None:
    """Only the default one may be missing."""
    (site / "ccbridge.toml").unlink()
    assert CliRunner().invoke(app, ["rules", "check"]).exit_code == 0
    done = CliRunner().invoke(app, ["rules", "check", "--config", "other.toml"])
    assert "other.toml: no such file" in str(done.exception)


def test_errors_for_machines_have_paths_that_an_editor_finds(site: Path) -> None:
    """One object a line, or an annotation a line."""
    done = CliRunner().invoke(app, ["rules", "check", "--format", "json"])
    assert done.exit_code == 2
    first = json.loads(done.stdout.splitlines()[0])
    assert (first["file"], first["line"]) == ("my_rules/inbound/ci_per.yaml", 1)
    done = CliRunner().invoke(app, ["rules", "check", "--format", "github"])
    assert done.stdout.startswith("::error file=my_rules/inbound/ci_per.yaml,line=1,col=")


def test_lineage_is_narrowed_to_what_is_asked_for() -> None:
    """A table, a column or an entity, in any case."""
    done = CliRunner().invoke(
        app, ["rules", "show", "ccb_prepaid", "--only", "CI_PER_NAME", "--format", "json"]
    )
    assert done.stdout
    assert all("CI_PER_NAME" in line for line in done.stdout.splitlines())


def test_a_rule_set_to_start_from_is_right_and_one_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It loads, its golden rows are right, and the schemas that its files name are there."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    done = runner.invoke(app, ["rules", "init", "my_rules"])
    assert (done.exit_code, 'path = "my_rules"' in done.stdout) == (0, True)
    (tmp_path / "ccbridge.toml").write_text('[rules]\npath = "my_rules"\n')
    for verb in ("check", "test"):
        assert runner.invoke(app, ["rules", verb]).exit_code == 0
    for path in (tmp_path / "my_rules").rglob("*.yaml"):
        link = path.read_text().splitlines()[0].partition("$schema=")[2]
        assert (path.parent / link).is_file(), path
    assert "not an empty folder" in str(runner.invoke(app, ["rules", "init", "my_rules"]).exception)
