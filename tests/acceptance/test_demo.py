"""The demo: the main job from an empty machine to a comparison of both sides."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import oracledb
import psycopg
import pytest

from tests.acceptance.site import eventually

COMMAND = [sys.executable, "-m", "cdc.cli", "demo", "--persons", "200"]
OK = r"demo ok: persons=\d+ accounts=\d+ recharges=(\d+) posted=(\d+) differences=0"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_kept_demo_can_be_worked_with_until_ctrl_c(tmp_path: Path) -> None:
    """After the comparison all is up: verbs need `env.sh` only, changes flow on, Ctrl-C ends it."""
    folder = tmp_path / "a folder"
    command = [*COMMAND, "--seconds", "5", "--keep", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        last = process.stdout.readline().rstrip()
        match = re.fullmatch(OK, last)
        assert match, last
        assert match[1] == match[2] != "0"

        exported = _shell(folder, "env -0").stdout.split("\0")
        variables = dict(line.split("=", 1) for line in exported if "=" in line)
        assert _shell(folder, f"{sys.executable} -m cdc.cli status").returncode == 0
        _change_and_see(variables)
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (second.returncode, "is running there" in second.stderr) == (2, True)
        assert _shell(folder, f"{sys.executable} -m cdc.cli status").returncode == 0
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, ""), err[-2000:]
    assert not (folder / "env.sh").exists()
    assert (folder / "run.log").exists()


def _shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    script = f'. "{folder}/env.sh" && {command}'
    return subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)


def _change_and_see(variables: dict[str, str]) -> None:
    """A name that is changed in CC&B arrives in prepaid."""
    login = {"user": variables["CCB_USER"], "password": variables["CCB_PASSWORD"]}
    with (
        oracledb.connect(**login, dsn=variables["CCB_DSN"]) as ccb,
        ccb.cursor() as cursor,
        psycopg.connect(variables["PREPAID_URL"], autocommit=True) as prepaid,
        psycopg.connect(variables["STAGING_URL"]) as staging,
    ):
        some = prepaid.execute("select min(ccb_person_id) from customer").fetchone()
        assert some is not None
        cursor.execute(
            "update CISADM.CI_PER_NAME set ENTITY_NAME = 'Kept' where PER_ID = :1 and NAME_TYPE_FLG = 'PRIM'",
            some,
        )
        ccb.commit()
        named = "select from customer where ccb_person_id = %s and full_name = 'Kept'"
        eventually(lambda: prepaid.execute(named.encode(), some).fetchone() is not None, "the new name")
        named = "select source_user, source_client from staging.change where after ->> 'ENTITY_NAME' = 'Kept'"
        assert staging.execute(named.encode()).fetchall() == [("SYSTEM", None)]
        superuser = staging.execute("select current_setting('is_superuser')").fetchone()
        assert superuser == ("on",)


@pytest.mark.timeout(180)
def test_ctrl_c_ends_the_traffic_and_still_compares() -> None:
    """Without a number of seconds the demo runs until it is interrupted, then drains and compares."""
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("traffic on both sides"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert re.search(OK, out), err[-2000:]
    assert process.returncode == 0
