"""The stand-in as a process of its own, started as a person would start it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import oracledb

SCRIPT = """
-- an owner with a table
create user CISADM identified by "secret"; grant connect, resource to CISADM;
create table CISADM.T (ID number primary key, V varchar2(20) default 'a;b');
begin
  null;
end;
/
insert into CISADM.T (ID) values (1);
"""


def test_a_script_sets_it_up_and_clients_find_it(tmp_path: Path) -> None:
    """It prints its port, has run the script, and ends when its input closes."""
    script = tmp_path / "setup.sql"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "sandbox.oracle", "--script", str(script), "--until-input-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        with (
            closing(
                oracledb.connect(user="cisadm", password="secret", dsn=f"127.0.0.1:{port}/CCB")
            ) as connection,
            connection.cursor() as cursor,
        ):
            assert cursor.execute("select id, v from t").fetchall() == [(1, "a;b")]
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_bad_script_is_named(tmp_path: Path) -> None:
    """The failing statement and its error are shown, the exit code says so."""
    script = tmp_path / "bad.sql"
    script.write_text("create table NOBODY.T (ID number)")
    command = [sys.executable, "-m", "sandbox.oracle", "--script", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "ORA-01918" in done.stderr
    assert "create table NOBODY.T" in done.stderr
