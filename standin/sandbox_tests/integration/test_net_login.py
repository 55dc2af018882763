"""The unmodified oracledb driver finds the service and proves its password."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import oracledb
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox_tests.integration.net_bench import DIALECTS, Bench, served


@pytest.fixture(params=list(DIALECTS.values()), ids=list(DIALECTS))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with served(**request.param) as running:
        yield running


def test_the_right_password_opens_a_session(bench: Bench) -> None:
    """The client sees version, database and service, and the engine sees who came."""
    connection = bench.connect(program="nightly_load", machine="billing01")
    assert connection.version.startswith("19.3.")
    assert (connection.db_name, connection.service_name) == ("FAKE", "FAKE")
    assert (connection.session_id, connection.serial_num) == (1, 7)
    connection.ping()
    assert connection.is_healthy()
    client = bench.database.sessions[0].client
    assert (client.user, client.program, client.machine) == ("SCOTT", "nightly_load", "billing01")


@pytest.mark.parametrize("user", ["scott", "nobody"])
def test_a_wrong_password_and_an_unknown_user_look_the_same(bench: Bench, user: str) -> None:
    """Nobody can find out which users exist."""
    with pytest.raises(oracledb.DatabaseError, match="ORA-01017: invalid username/password"):
        bench.connect(user=user, password="wrong")
    assert bench.database.sessions == []


def test_an_unknown_service_is_refused(bench: Bench) -> None:
    """The listener names what it does not know."""
    with pytest.raises(oracledb.OperationalError, match="DPY-6001") as caught:
        bench.connect(dsn=f"127.0.0.1:{bench.server.port}/NOPE")
    assert "NOPE" in str(caught.value)


def test_an_unknown_sid_is_refused_and_a_known_one_accepted(bench: Bench) -> None:
    """A SID is the database's name."""
    descriptor = (
        "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT={}))(CONNECT_DATA=(SID={})))"
    ).format
    with pytest.raises(oracledb.OperationalError, match="DPY-6003"):
        bench.connect(dsn=descriptor(bench.server.port, "nope"))
    bench.connect(dsn=descriptor(bench.server.port, "fake")).ping()


def test_a_service_name_with_its_domain_is_known(bench: Bench) -> None:
    """A listener drops the domain and does not look at the case."""
    bench.connect(dsn=f"127.0.0.1:{bench.server.port}/fake.example.org").ping()


def test_a_connect_text_longer_than_its_packet(bench: Bench) -> None:
    """Longer than 230 bytes it comes in a packet of its own."""
    addresses = f"(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT={bench.server.port}))" * 8
    dsn = f"(DESCRIPTION=(ADDRESS_LIST={addresses})(CONNECT_DATA=(SERVICE_NAME=FAKE)))"
    bench.connect(dsn=dsn, program="p" * 200).ping()


def test_end_to_end_names_reach_the_engine(bench: Bench) -> None:
    """Module, action and client identifier travel in front of the next call."""
    connection = bench.connect()
    connection.module, connection.action = "ccbridge reader", "snapshot"
    connection.client_identifier = "ccbridge"
    connection.current_schema = "CISADM"
    connection.ping()
    session = bench.database.sessions[0]
    assert (session.client.module, session.client.action) == ("ccbridge reader", "snapshot")
    assert session.client.identifier == "ccbridge"
    assert session.schema == "CISADM"
    connection.action = ""
    connection.ping()
    assert (session.client.module, session.client.action) == ("ccbridge reader", "")


def test_a_password_change_reaches_the_engine_as_a_statement(bench: Bench) -> None:
    """Only with the right old password."""
    connection = bench.connect()
    with pytest.raises(oracledb.DatabaseError, match="ORA-28008"):
        connection.changepassword("wrong", "lion")
    assert not any("alter user" in text for text in bench.database.sessions[0].executed)
    connection.changepassword("tiger", "lion")
    assert 'alter user "SCOTT" identified by "lion"' in bench.database.sessions[0].executed


@pytest.mark.parametrize("sdu", [512, 8192, 65535, 200000])
def test_any_packet_size(sdu: int) -> None:
    """Requests and answers are cut anywhere."""
    with served(max_sdu=max(sdu, 512)) as bench:
        connection = bench.connect(sdu=max(sdu, 512))
        with connection.cursor() as cursor:
            rows = [(number, "x" * (number % 700)) for number in range(1, 401)]
            cursor.executemany("insert into t values (:1, :2)", rows)
            assert cursor.rowcount == 400
            cursor.arraysize = 400
            assert len(cursor.execute("select * from types_300").fetchall()) == 300
            text = "ä" * 20000
            assert cursor.execute("select :1 from dual", [text]).fetchone() == (text,)


def test_tls_with_a_trusted_and_an_untrusted_certificate(tmp_path: Path) -> None:
    """The client checks who it talks to; the protocol inside is the same."""
    certificate, key = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with served(tls=context) as bench:
        dsn = f"tcps://localhost:{bench.server.port}/FAKE"
        trusting = ssl.create_default_context(cafile=str(certificate))
        connection = bench.connect(dsn=dsn, ssl_context=trusting)
        with connection.cursor() as cursor:
            assert len(cursor.execute("select * from numbers_5000").fetchall()) == 5000
        with pytest.raises(oracledb.OperationalError, match=r"certificate verify failed|DPY-6005"):
            bench.connect(dsn=dsn, ssl_context=ssl.create_default_context())


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "server.pem", folder / "server.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files
