"""`ccbridge grants`: with what it prints, and nothing else, everything works."""

from __future__ import annotations

import re
import uuid

import pytest

from tests.acceptance.site import Site, eventually, statements

SECRET = "Kanarie-grants-4714"


def test_printed_grants_suffice_for_check_capture_and_upload(migrated: Site) -> None:
    """A new user with just these rights is not complained about, captures, and posts a recharge."""
    user = f"BRIDGE{uuid.uuid4().hex[:6].upper()}"
    migrated.oracle(f'create user {user} identified by "{SECRET}"', user="SYSTEM")
    printed = migrated.call("grants", "--system", "ccb", "--user", user)
    assert printed.code == 0, printed.err
    script = "\n".join(line for line in printed.out.splitlines() if not line.startswith("--"))
    for statement in statements(script):
        migrated.oracle(statement, user="SYSTEM")
    migrated.environment |= {
        "CCBRIDGE_SYSTEMS__CCB__USER": user,
        "CCBRIDGE_SYSTEMS__CCB__PASSWORD": SECRET,
    }
    checked = migrated.call("check")
    assert (checked.code, checked.out) == (0, "check ok\n")
    with migrated.running():
        migrated.oracle(
            "update CISADM.CI_PER_NAME set ENTITY_NAME = 'Grants Suffice' "
            "where PER_ID = (select min(PER_ID) from CISADM.CI_PER_NAME) and PRIM_NAME_SW = 'Y'"
        )
        query = "select 1 from customer where full_name = 'Grants Suffice'"
        eventually(lambda: migrated.app(query), "the name in prepaid")
        migrated.recharge("grants-1")
        eventually(
            lambda: ("grants-1", "sent") in migrated.receipts(), "the recharge in CC&B's upload tables"
        )
    assert SECRET not in "".join(migrated.transcript)


@pytest.mark.parametrize("dropped", ["logmining", "v_$thread", '"CI_ACCT"', '"CI_DEP_CTL_ST"'])
def test_no_printed_grant_is_superfluous(site: Site, dropped: str) -> None:
    """Least privilege: without any one of the grants, check finds what is missing."""
    user = f"BRIDGE{uuid.uuid4().hex[:6].upper()}"
    site.oracle(f'create user {user} identified by "{SECRET}"', user="SYSTEM")
    printed = site.call("grants", "--system", "ccb", "--user", user).out
    lines = [line for line in printed.splitlines() if not line.startswith("--")]
    kept = [line for line in lines if dropped.lower() not in line.lower()]
    assert len(kept) < len(lines)
    for line in kept:
        site.oracle(line.removesuffix(";"), user="SYSTEM")
    wrong = {"CCBRIDGE_SYSTEMS__CCB__USER": user, "CCBRIDGE_SYSTEMS__CCB__PASSWORD": SECRET}
    found = [row for row in site.call("check", "--format", "json", **wrong).rows() if row["system"] == "ccb"]
    assert found
    assert any(dropped.strip('"').lower() in row["fix"].lower() for row in found)


def test_script_for_a_pluggable_database_names_both_containers(site: Site) -> None:
    """Mining rights in the root for a common user, table rights inside the PDB."""
    done = site.call("grants", "--system", "ccb", "--pdb", "CCBPDB", "--user", "c##bridge")
    assert done.code == 0, done.err
    root, inside = done.out.split('alter session set container = "CCBPDB";')
    assert "container = all" not in done.out, "nothing is granted in other containers"
    assert 'alter user c##bridge set container_data = (CDB$ROOT, "CCBPDB") container = current;' in root
    assert "grant set container to c##bridge;" in inside
    assert "grant select on sys.v_$logmnr_contents to c##bridge;" in root.lower()
    assert "CI_" not in root
    assert re.search(r'grant select, flashback on "CISADM"\."CI_PER" to c##bridge;', inside)
    assert "V_$" not in inside


def test_script_for_amazon_rds_uses_its_procedure(site: Site) -> None:
    """SYS is Amazon's: views and packages of SYS are granted by rdsadmin, everything else as ever."""
    done = site.call("grants", "--system", "ccb", "--rds")
    assert (
        "begin rdsadmin.rdsadmin_util.grant_sys_object('V_$LOGMNR_CONTENTS', 'CCBRIDGE', 'SELECT'); end;\n"
        in done.out
    )
    assert "grant_sys_object('DBMS_LOGMNR', 'CCBRIDGE', 'EXECUTE')" in done.out
    assert " on sys." not in done.out
    assert 'grant select, flashback on "CISADM"."CI_PER" to CCBRIDGE;' in done.out


def test_grants_of_a_system_that_is_not_an_oracle_are_refused(site: Site) -> None:
    """The systems that have such a script are named."""
    done = site.call("grants", "--system", "prepaid")
    assert done.code == 2
    assert "no Oracle system 'prepaid' is configured, only: ccb" in done.err
