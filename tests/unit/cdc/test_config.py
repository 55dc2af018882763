"""Reading the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.config import load
from cdc.errors import ConfigurationError, ExitCode

GOOD = """
[staging]
host = "s"
database = "ccbridge"
user = "u"
[systems.prepaid]
kind = "postgres"
host = "p"
database = "prepaid"
user = "u"
[systems.ccb]
kind = "oracle"
dsn = "tcps://o:2484/CCB"
user = "u"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ccbridge.toml"
    path.write_text(text)
    return path


def test_every_fault_is_reported_at_once_with_its_place(tmp_path: Path) -> None:
    """An operator mends the file in one go."""
    text = GOOD.replace('dsn = "tcps://o:2484/CCB"', 'dns = "x"\ntime_zone = "Mars/Olympus"')
    text += "[run]\nmax_chnages = 3\n"
    with pytest.raises(ConfigurationError) as caught:
        load(written(tmp_path, text), {})
    faults = "\n".join(caught.value.faults)
    assert "systems.ccb.dsn: missing" in faults
    assert "systems.ccb.dns: unknown key, did you mean 'dsn'?" in faults
    assert "unknown time zone 'Mars/Olympus'" in faults
    assert "run.max_chnages: unknown key, did you mean 'max_changes'?" in faults
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_password_comes_from_the_environment_and_is_never_shown(tmp_path: Path) -> None:
    """Secrets stay out of the file, of repr and of error texts."""
    settings = load(written(tmp_path, GOOD), {"CCBRIDGE_SYSTEMS__CCB__PASSWORD": "s3cret-canary"})
    assert settings.systems["ccb"].secret() == "s3cret-canary"
    assert "canary" not in repr(settings)
    with pytest.raises(ConfigurationError) as caught:
        load(written(tmp_path, GOOD), {"CCBRIDGE_SYSTEMS__CCB__PASSWRD": "s3cret-canary"})
    assert caught.value.faults == ("CCBRIDGE_SYSTEMS__CCB__PASSWRD: unknown key, did you mean 'password'?",)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ('sslmode = "require"', "systems.prepaid: sslmode 'require' does not verify the server"),
        ('dsn = "o:1521/CCB"', "systems.ccb: dsn without tcps is not encrypted"),
        ('dsn = "tcps-gateway:1521/CCB"', "systems.ccb: dsn without tcps is not encrypted"),
        (
            'dsn = "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcps)(HOST=a)(PORT=2484))'
            '(ADDRESS=(PROTOCOL=tcp)(HOST=b)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=CCB)))"',
            "systems.ccb: dsn without tcps is not encrypted",
        ),
        (
            'dsn = "tcps://o:2484/CCB?ssl_server_dn_match=off"',
            "systems.ccb: dsn with ssl_server_dn_match off does not verify the server",
        ),
    ],
)
def test_an_unencrypted_connection_needs_an_explicit_word(tmp_path: Path, change: str, fault: str) -> None:
    """Plain or unverified connections are refused unless `insecure = true` stands there."""
    if change.startswith("dsn"):
        text = GOOD.replace('dsn = "tcps://o:2484/CCB"', change)
        excused = text.replace(change, f"{change}\ninsecure = true")
    else:
        text = GOOD.replace("[systems.ccb]", f"{change}\n[systems.ccb]")
        excused = text.replace(change, f"{change}\ninsecure = true")
    with pytest.raises(ConfigurationError, match=fault):
        load(written(tmp_path, text), {})
    load(written(tmp_path, excused), {})


def test_the_file_that_init_writes_is_valid() -> None:
    """The commented example loads as it is."""
    load(Path("cdc/cli/ccbridge.toml"), {})
