"""Reading the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.config import OracleSystem, PostgresSystem, load, load_rules_section
from cdc.errors import ConfigurationError, ExitCode
from cdc.postgres.connect import conninfo

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

SERVICE = "(CONNECT_DATA=(SERVICE_NAME=CCB))"
TLS = "(ADDRESS=(PROTOCOL=tcps)(HOST=a)(PORT=2484))"
UNENCRYPTED = [
    f"(DESCRIPTION={TLS}(ADDRESS=(HOST=b)(PORT=1521)){SERVICE})",
    f'(DESCRIPTION=(ADDRESS=(HOST=b)(PORT=1521)(PROTOCOL="tcp")){TLS}{SERVICE})',
    f"(DESCRIPTION=(ADDRESS_LIST={TLS})(ADDRESS_LIST=(ADDRESS=(HOST=b))){SERVICE})",
    f"(DESCRIPTION_LIST=(DESCRIPTION={TLS}{SERVICE})(DESCRIPTION=(ADDRESS=(HOST=b)){SERVICE}))",
    "//o:2484/CCB",
]
UNVERIFIED = [
    "tcps://o:2484/CCB?ssl_server_dn_match=off",
    "tcps://o:2484/CCB?SSL_SERVER_DN_MATCH = false",
    "tcps://o:2484/CCB?pyo.ssl_server_dn_match=0",
    f"(DESCRIPTION={TLS}(SECURITY=(SSL_SERVER_DN_MATCH=FALSE)){SERVICE})",
    f"(DESCRIPTION_LIST=(DESCRIPTION={TLS}{SERVICE})"
    f"(DESCRIPTION={TLS}(SECURITY=(SSL_SERVER_DN_MATCH=no)){SERVICE}))",
]

WEAK = [
    "tcps://o:2484/CCB?ssl_allow_weak_dn_match=on",
    f"(DESCRIPTION={TLS}(SECURITY=(SSL_ALLOW_WEAK_DN_MATCH = TRUE)){SERVICE})",
]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ccbridge.toml"
    path.write_text(text)
    return path


def test_every_error_is_reported_at_once_with_its_place(tmp_path: Path) -> None:
    """An operator fixes the file in one go."""
    text = GOOD.replace('dsn = "tcps://o:2484/CCB"', 'dns = "x"\ntime_zone = "Mars/Olympus"')
    text += "[run]\nmax_chnages = 3\n"
    with pytest.raises(ConfigurationError) as caught:
        load(written(tmp_path, text), {})
    errors = "\n".join(caught.value.errors)
    assert "systems.ccb.dsn: missing" in errors
    assert "systems.ccb.dns: unknown key, did you mean 'dsn'?" in errors
    assert "unknown time zone 'Mars/Olympus'" in errors
    assert "run.max_chnages: unknown key, did you mean 'max_changes'?" in errors
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_password_comes_from_the_environment_and_is_never_shown(tmp_path: Path) -> None:
    """Secrets stay out of the file, of repr and of error texts."""
    settings = load(written(tmp_path, GOOD), {"CCBRIDGE_SYSTEMS__CCB__PASSWORD": "s3cret-canary"})
    assert settings.systems["ccb"].secret() == "s3cret-canary"
    assert "canary" not in repr(settings)
    with pytest.raises(ConfigurationError) as caught:
        load(written(tmp_path, GOOD), {"CCBRIDGE_SYSTEMS__CCB__PASSWRD": "s3cret-canary"})
    assert caught.value.errors == ("CCBRIDGE_SYSTEMS__CCB__PASSWRD: unknown key, did you mean 'password'?",)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ('sslmode = "require"', "systems.prepaid: sslmode 'require' does not verify the server"),
        ('dsn = "o:1521/CCB"', "systems.ccb: dsn without tcps is not encrypted"),
        ('dsn = "tcps-gateway:1521/CCB"', "systems.ccb: dsn without tcps is not encrypted"),
        (
            'dsn = "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcps)(HOST=a)(PORT=2484))'
            '(ADDRESS=(PROTOCOL=tcp)(HOST=b)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=CCB)))"',
            "systems.ccb: dsn without tcps is not encrypted",
        ),
        *((f"dsn = '{dsn}'", "systems.ccb: dsn without tcps is not encrypted") for dsn in UNENCRYPTED),
        *((f"dsn = '{dsn}'", "systems.ccb: dsn with ssl_server_dn_match off does not") for dsn in UNVERIFIED),
        *((f"dsn = '{dsn}'", "systems.ccb: dsn with ssl_allow_weak_dn_match does not") for dsn in WEAK),
        ('sslmode = "verify-ca"', "systems.prepaid: sslmode 'verify-ca' does not verify the host name"),
    ],
)
def test_an_unencrypted_connection_needs_an_explicit_word(tmp_path: Path, change: str, error: str) -> None:
    """Plain or unverified connections are refused unless `insecure = true` stands there."""
    if change.startswith("dsn"):
        text = GOOD.replace('dsn = "tcps://o:2484/CCB"', change)
        excused = text.replace(change, f"{change}\ninsecure = true")
    else:
        text = GOOD.replace("[systems.ccb]", f"{change}\n[systems.ccb]")
        excused = text.replace(change, f"{change}\ninsecure = true")
    with pytest.raises(ConfigurationError, match=error):
        load(written(tmp_path, text), {})
    load(written(tmp_path, excused), {})


def test_an_address_of_an_instance_is_judged_like_the_main_one(tmp_path: Path) -> None:
    """By thread, from the file or the environment; each that is not encrypted is named."""
    path = tmp_path / "c.toml"
    given = 'dsn = "tcps://o:2484/CCB"\ninstances = {1 = "tcps://o:2484/CCB1", 2 = "o:1521/CCB2"}'
    path.write_text(GOOD.replace('dsn = "tcps://o:2484/CCB"', given))
    with pytest.raises(ConfigurationError) as refused:
        load(path, {})
    assert "systems.ccb.instances.2: dsn without tcps is not encrypted" in str(refused.value)
    oracle = load(path, {"CCBRIDGE_SYSTEMS__CCB__INSTANCES__2": "tcps://o:2484/CCB2"}).system(
        "ccb", OracleSystem
    )
    assert oracle.instances == {1: "tcps://o:2484/CCB1", 2: "tcps://o:2484/CCB2"}
    with pytest.raises(ConfigurationError, match=r"systems\.ccb\.instances"):
        load(path, {"CCBRIDGE_SYSTEMS__CCB__INSTANCES__TWO": "tcps://o:2484/CCB2"})


def test_the_file_that_init_writes_is_valid() -> None:
    """The commented example loads as it is."""
    load(Path("mapping_rules/ccb_prepaid/ccbridge.toml"), {})


@pytest.mark.parametrize(
    "dsn", ["u/canary@tcps://h:2484/CCB", "tcps://u:canary@h:2484/CCB", "canary", "(DESCRIPTION=canary"]
)
@pytest.mark.parametrize("insecure", ["", "insecure = true"])
def test_a_dsn_that_is_not_a_address_is_refused_without_being_repeated(
    tmp_path: Path, dsn: str, insecure: str
) -> None:
    """A dsn goes into error texts and `status`, so it never holds a password."""
    text = GOOD.replace('dsn = "tcps://o:2484/CCB"', f'dsn = "{dsn}"\n{insecure}')
    with pytest.raises(ConfigurationError, match=r"systems\.ccb: dsn") as caught:
        load(written(tmp_path, text), {})
    assert "canary" not in str(caught.value)


def test_secrets_in_the_file_are_refused_with_the_way_to_give_them(tmp_path: Path) -> None:
    """A configuration is copied and shown; the texts name the variable of each place."""
    text = GOOD.replace('database = "ccbridge"', 'database = "ccbridge"\npassword = "canary"')
    with pytest.raises(ConfigurationError) as caught:
        load(written(tmp_path, text + 'password = "canary"\n'), {})
    assert "canary" not in str(caught.value)
    errors = "\n".join(caught.value.errors)
    assert "staging.password: no secrets in this file, set CCBRIDGE_STAGING__PASSWORD" in errors
    assert "systems.ccb.password: no secrets in this file, set CCBRIDGE_SYSTEMS__CCB__PASSWORD" in errors


def test_a_password_file_is_private_and_text(tmp_path: Path) -> None:
    """Others cannot read it; one that is not text is a error of configuration and not a crash."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"caf\xe9\n")
    secret.chmod(0o644)
    text = GOOD + f'password_file = "{secret}"\n'
    with pytest.raises(ConfigurationError, match="can be read by every user"):
        load(written(tmp_path, text), {})
    secret.chmod(0o600)
    with pytest.raises(ConfigurationError, match="not UTF-8 at byte 3"):
        load(written(tmp_path, text), {}).systems["ccb"].secret()


def test_the_password_is_never_given_in_clear(tmp_path: Path) -> None:
    """Libpq refuses a server that asks for it, and does not leave TLS for a Kerberos ticket."""
    settings = load(written(tmp_path, GOOD), {})
    text = conninfo(settings.staging, application="x")
    assert "require_auth=!password,!md5" in text
    assert "gssencmode=disable" in text


@pytest.mark.parametrize(
    ("written_name", "stored"),
    [
        ("ccbpdb", "CCBPDB"),
        ("CcbPdb", "CCBPDB"),
        (" ccb_1 ", "CCB_1"),
        ('"ccbpdb"', "ccbpdb"),
        ('"A b"', "A b"),
    ],
)
def test_a_pluggable_database_is_named_as_oracle_stores_it(
    tmp_path: Path, written_name: str, stored: str
) -> None:
    """Upper case, unless the name is in double quotes: the redo names its container so."""
    text = f"{GOOD}pdb = '{written_name}'\n"
    assert load(written(tmp_path, text), {}).system("ccb", OracleSystem).pdb == stored


@pytest.mark.parametrize("name", ["", "  ", '""', 'a"b'])
def test_what_is_not_a_name_of_a_pluggable_database_is_refused(tmp_path: Path, name: str) -> None:
    """Before a session asks for it."""
    with pytest.raises(ConfigurationError, match="not a name"):
        load(written(tmp_path, f"{GOOD}pdb = '{name}'\n"), {})


def test_the_password_of_a_wallet_is_a_secret_like_any_other(tmp_path: Path) -> None:
    """From the environment or a file, never shown; a missing file is reported."""
    named = {"CCBRIDGE_SYSTEMS__CCB__WALLET_PASSWORD": "s3cret-canary"}
    settings = load(written(tmp_path, GOOD), named)
    assert settings.system("ccb", OracleSystem).wallet_secret() == "s3cret-canary"
    assert "canary" not in repr(settings)
    file = tmp_path / "wallet.secret"
    text = f'{GOOD}wallet_password_file = "{file}"\n'
    with pytest.raises(ConfigurationError, match="wallet_password_file"):
        load(written(tmp_path, text), {})
    file.write_text("from-file\n")
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="can be read by every user"):
        load(written(tmp_path, text), {})
    file.chmod(0o600)
    assert load(written(tmp_path, text), {}).system("ccb", OracleSystem).wallet_secret() == "from-file"


def test_relative_paths_are_meant_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service starts in /: every path of the file, the rule set's too, is found from there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "secrets").mkdir(mode=0o700)
    for name in ("password", "ca.pem", "wallet"):
        (tmp_path / "secrets" / name).touch(mode=0o600)
    text = GOOD.replace(
        "[systems.ccb]", 'password_file = "secrets/password"\nsslrootcert = "secrets/ca.pem"\n[systems.ccb]'
    )
    text += 'wallet = "secrets/wallet"\nspill_directory = "spill"\n[rules]\npath = "my_rules"\n'
    path = written(tmp_path, text)
    monkeypatch.chdir(elsewhere)
    for given in (path, Path("../ccbridge.toml")):
        settings = load(given, {"CCBRIDGE_STAGING__PASSWORD_FILE": "secrets/password"})
        prepaid, ccb = settings.system("prepaid", PostgresSystem), settings.system("ccb", OracleSystem)
        found = (prepaid.password_file, settings.staging.password_file, prepaid.sslrootcert, ccb.wallet)
        assert [one and one.resolve() for one in found] == [
            tmp_path / "secrets" / name for name in ("password", "password", "ca.pem", "wallet")
        ]
        assert ccb.spill_directory == tmp_path / "spill"
        assert settings.rules.folder == load_rules_section(given, {})[0].folder == tmp_path / "my_rules"


def test_a_missing_password_is_asked_for_by_its_variable(tmp_path: Path) -> None:
    """The name of the variable is that of the section, so no one has to guess it."""
    settings = load(written(tmp_path, GOOD), {})
    assert "CCBRIDGE_STAGING__PASSWORD," in settings.staging.password_hint
    assert "CCBRIDGE_SYSTEMS__CCB__PASSWORD," in settings.systems["ccb"].password_hint
    assert "[systems.prepaid]" in settings.systems["prepaid"].password_hint


def test_the_rules_section_is_read_without_the_rest(tmp_path: Path) -> None:
    """Rules are tested where no certificate, password or database is."""
    text = GOOD + 'owner = "CCB1"\nwallet = "/nowhere"\n[rules]\npath = "/etc/rules"\n'
    rules, owners = load_rules_section(written(tmp_path, text), {})
    assert (rules.folder, owners) == (Path("/etc/rules"), {"ccb": "CCB1"})
    rules, owners = load_rules_section(written(tmp_path, text), {"CCBRIDGE_RULES__PATH": "other"})
    assert rules.folder == tmp_path / "other"
    with pytest.raises(ConfigurationError, match=r"rules\.pth: unknown key, did you mean 'path'"):
        load_rules_section(written(tmp_path, text.replace("path =", "pth =")), {})
