"""The commands as people meet them: help, version, rules, migrate, status."""

from __future__ import annotations

import re
import shutil

from cdc import __version__
from mapping_rules.rule_files import SHIPPED
from tests.acceptance.site import Site, eventually

OPTIONS = {
    "init": ("--config", "--force"),
    "check": ("--config", "--format", "--log-format", "--verbose"),
    "migrate": ("--config", "--log-format", "--verbose"),
    "run": ("--config", "--log-format", "--verbose"),
    "status": ("--config", "--format"),
    "demo": ("--seconds", "--persons", "--seed"),
    "rules check": (),
    "rules test": (),
    "rules show": ("--format",),
}
SWITCHES = ("--force", "--help")


def test_version_and_help_name_every_command(site: Site) -> None:
    """`ccbridge --help` is where everyone starts."""
    assert site.call("--version").out == f"ccbridge {__version__}\n"
    text = site.call("--help").out
    assert text.startswith("Usage: ccbridge ")
    for verb in {name.partition(" ")[0] for name in OPTIONS}:
        assert re.search(rf"^  {verb}  ", text, re.MULTILINE), verb


def test_migrate_twice_changes_nothing_the_second_time(site: Site) -> None:
    """`migrate` can stand in every deployment script."""
    first = site.call("migrate")
    assert first.code == 0
    assert "was empty" in first.out
    assert "created staging.recharge_history" in first.out
    second = site.call("migrate")
    assert second.code == 0
    assert re.fullmatch(r"staging at revision \S+\n", second.out)
    assert site.staging("select who, action from staging.operator_action") == [("ccbridge", "migrate")]
    assert site.call("check").out == "check ok\n"


def _edited_rules_are_only_said(site: Site) -> None:
    """Monitoring continues while someone writes a rule for a table that staging does not have yet."""
    folder = site.folder / "edited"
    shutil.copytree(SHIPPED / "ccb_prepaid", folder)
    former = site.config.read_text()
    site.config.write_text(site.configuration(rules="edited"))
    entity = folder / "entities/meter.yaml"
    entity.write_text("entity: meter\nkey: [meter_id]\ncolumns:\n  meter_id: {type: text}\n")
    different = site.call("status")
    assert "the rules on disk are not those that run" in different.out
    entity.write_text("entity: meter\nkey: [nothing]\n")
    invalid = site.call("status")
    assert "the rules on disk have errors" in invalid.out
    assert (different.code, invalid.code) == (0, 0)
    site.config.write_text(former)


def test_the_shipped_rules_check_test_and_show(site: Site) -> None:
    """The three commands work without any database or configuration, and not with one that is missing."""
    site.config.unlink()
    nowhere = site.call("rules", "test")
    assert (nowhere.code, f"{site.config}: no such file" in nowhere.err) == (2, True)
    none = {"CCBRIDGE_CONFIG": "ccbridge.toml"}
    assert site.call("rules", "check", **none).out.startswith("rules ok: ccb_prepaid entities=18 ")
    tested = site.call("rules", "test", **none)
    assert tested.code == 0
    assert re.fullmatch(r"golden rows: [1-9]\d* right, 0 wrong\n", tested.out)
    shown = site.call("rules", "show", "--format", "json", **none).rows()
    assert {"source", "entity_column", "how", "target"} <= set(shown[0])
    assert any("recharge" in row["entity_column"] for row in shown)


def test_status_before_during_and_after_a_run(migrated: Site) -> None:
    """What each flow does, on 80 columns and as JSON; a process that is gone is not called running."""
    site = migrated
    before = site.call("status")
    assert (before.code, before.out) == (
        1,
        "\nccbridge run: nothing has run yet\n    start it: ccbridge run\n",
    )
    flows = ["capture:ccb", "capture:prepaid", "deliver:ccb", "deliver:prepaid"]
    with site.running() as running:
        site.recharge("status-1")
        eventually(site.receipts, "receipt", hint=running.text)
        eventually(
            lambda: site.call("status").out.count(" running ") == len(flows),
            "state of all flows",
            hint=running.text,
        )
        table, rows = site.call("status"), site.call("status", "--format", "json").rows()
        assert table.code == 0
        lines = table.out.splitlines()
        assert max(map(len, lines)) <= 80
        assert [line.split()[:2] for line in lines[1:5]] == [[flow, "running"] for flow in flows]
        assert re.search(r"^(built|sent) +1 +1500\.00 ", table.out, re.MULTILINE)
        shown = [row for row in rows if row["kind"] == "flow"]
        assert [row["flow"] for row in shown] == flows
        assert all(row["lag_s"] is not None and row["lag_s"] < 60 for row in shown)
        assert shown[0]["changed_at"] is not None
        assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", shown[1]["at"]), "a position as PostgreSQL writes it"
        (active,) = [row for row in rows if row["kind"] == "replication"]
        assert (active["alive"], active["version"], active["standbys"]) == (True, __version__, 0)
        assert active["holder"].endswith(f":{running.process.pid}")
        assert f"active: {active['holder']} since 20" in table.out
        assert [row for row in rows if row["kind"] in ("problem", "note")] == []
        _edited_rules_are_only_said(site)
    after = site.call("status")
    assert after.code == 1
    assert "ccbridge run: not active; the last one was" in after.out
    assert [line.split()[:2] for line in after.out.splitlines()[1:5]] == [[flow, "stopped"] for flow in flows]
    again = site.start()
    site.wait_until_delivered(again)
    again.kill()
    site.staging("update staging.flow_state set reported_at = now() - interval '1 hour'")
    gone = site.call("status")
    assert gone.code == 1
    assert [line.split()[:2] for line in gone.out.splitlines()[1:5]] == [[flow, "silent"] for flow in flows]
    assert re.search(
        r"^capture:ccb: no report for 36\d\d s: is ccbridge run still alive\?$", gone.out, re.MULTILINE
    )


def test_a_rule_is_made_of_a_table_of_either_database(migrated: Site) -> None:
    """From its real columns, into the configured rule set, which is then right and complete."""
    site = migrated
    shipped = site.call("rules", "new", "--table", "CI_PREM")
    assert (shipped.code, "ccbridge rules init" in shipped.err) == (2, True)
    assert site.call("rules", "init", str(site.folder / "mine")).code == 0
    site.config.write_text(site.configuration(rules="mine"))
    site.prepaid_admin("create table public.meter (meter_id text primary key, multiplier numeric(9,4))")
    site.prepaid_admin("grant select on public.meter to ccbridge")
    for table in ("CI_LOOKUP_VAL_L", "meter"):
        done = site.call("rules", "new", "--table", table)
        assert done.code == 0, done.err
    again = site.call("rules", "new", "--table", "meter")
    assert (again.code, "exists already" in again.err) == (2, True)
    nowhere = site.call("rules", "new", "--table", "nothing")
    assert (nowhere.code, "found in no system, expected one" in nowhere.err) == (2, True)
    assert site.call("rules", "check").code == 0
    assert site.call("migrate").code == 0
    found = site.call("check", "--format", "json").rows()
    missing = 'alter publication "ccbridge" add table "public"."meter"'
    assert {row["fix"].partition(";")[0] for row in found if not row["advice"]} == {missing}
