"""The two login calls: who the client says it is, and the session it gets.

`auth` holds the cryptography; here are the messages and what is told to the client about the
server.
"""

from __future__ import annotations

import structlog

from sandbox.oracle.interface import Client, Database, OracleFault, Session
from sandbox.oracle.net.faults import guarded
from sandbox.oracle.net.opening.auth import Logon, Pair, unknown_user
from sandbox.oracle.net.terms import Terms
from sandbox.oracle.net.wire import Reader, long_text, ub

OPEN_CURSORS_TOLD = 300
_MAX_SERIAL = 65535

log = structlog.get_logger(__name__)


class Login:
    """One client's login; kept for a later change of the password.

    Args:
        database: knows users and opens sessions.
        terms: agreed with the client.
    """

    def __init__(self, database: Database, terms: Terms) -> None:
        self._database = database
        self._terms = terms
        self._logon: Logon | None = None
        self._known = False
        self._first: dict[str, str] = {}

    def challenge(self, reader: Reader, service: str) -> bytes:
        """Read the first call and give its answer without the last block."""
        user, self._first = self._read(reader)
        verifier = self._database.verifier(user, service)
        self._known = verifier is not None
        self._logon = Logon(user, verifier or unknown_user(user))
        return _pairs(self._logon.challenge())

    def finish(self, reader: Reader, service: str) -> tuple[Session, Client, bytes]:
        """Read the second call, check the password and open a session.

        Returns:
            The session, who has it, and the answer without the last block.

        Raises:
            OracleFault: 1017 for a wrong user or password; whatever the engine raises.
        """
        _, pairs = self._read(reader)
        logon = self._logon
        if logon is None or not logon.prove(pairs) or not self._known:
            log.warning("login_refused", known_user=self._known)
            raise OracleFault(1017, "invalid username/password; logon denied")
        client = Client(
            logon.user,
            program=self._first.get("AUTH_PROGRAM_NM", ""),
            machine=self._first.get("AUTH_MACHINE", ""),
            service=service,
        )
        session = guarded(lambda: self._database.open_session(client))
        statement = pairs.get("AUTH_ALTER_SESSION", "").strip("\0 ")
        if statement:
            try:
                guarded(
                    lambda: session.execute(
                        statement, (), [()], batch_errors=False, check_cancel=lambda: None
                    )
                )
            except OracleFault as fault:
                log.warning("session_setting_refused", code=fault.code)
        return session, client, _pairs(self._about(session, service, logon.response()))

    def change_password(self, reader: Reader, session: Session) -> None:
        """Read a call that changes the password of the session's user.

        Raises:
            OracleFault: 28008, the old password is wrong; whatever the engine raises.
        """
        _, pairs = self._read(reader)
        logon = self._logon
        old = logon.open_password(pairs.get("AUTH_PASSWORD", "")) if logon else None
        new = logon.open_password(pairs.get("AUTH_NEWPASSWORD", "")) if logon else None
        if logon is None or old is None or new is None or not logon.fits(old):
            raise OracleFault(28008, "invalid old password")
        statement = f'alter user "{logon.user}" identified by "{new.decode()}"'
        guarded(lambda: session.execute(statement, (), [()], batch_errors=False, check_cancel=lambda: None))

    def _read(self, reader: Reader) -> tuple[str, dict[str, str]]:
        has_user, length = reader.u8(), reader.ub()
        reader.skip("v1")
        count = reader.ub()
        reader.skip("11")
        user = b""
        if has_user and length:
            user = (reader.text() or b"") if self._terms.inner_lengths else reader.raw(length)
        pairs = {}
        for _ in range(count):
            key, value = reader.long_text() or b"", reader.long_text() or b""
            reader.ub()
            pairs[key.rstrip(b"\0").decode()] = value.rstrip(b"\0").decode("utf-8", "replace")
        name = user.decode("utf-8", "replace")
        name = name.strip('"') if name.startswith('"') else name.upper()
        return name, pairs

    def _about(self, session: Session, service: str, proof: str) -> list[Pair]:
        name = self._database.name
        values = {
            "AUTH_VERSION_STRING": "- Production",
            "AUTH_VERSION_SQL": "25",
            "AUTH_XACTION_TRAITS": "3",
            "AUTH_VERSION_NO": str(self._terms.version_number),
            "AUTH_VERSION_STATUS": "0",
            "AUTH_CAPABILITY_TABLE": "",
            "AUTH_SESSION_ID": str(session.id),
            "AUTH_SERIAL_NUM": str(session.serial % (_MAX_SERIAL + 1)),
            "AUTH_DBNAME": name,
            "AUTH_INSTANCENAME": name,
            "AUTH_INSTANCE_NO": "1",
            "AUTH_MAX_OPEN_CURSORS": str(OPEN_CURSORS_TOLD),
            "AUTH_MAX_IDEN_LENGTH": "128",
            "AUTH_SC_SERVICE_NAME": service,
            "AUTH_SC_DBUNIQUE_NAME": name,
            "AUTH_SC_REAL_DBUNIQUE_NAME": name,
            "AUTH_SC_DB_DOMAIN": "",
            "AUTH_SC_INSTANCE_NAME": name,
            "AUTH_SC_SERVER_HOST": "localhost",
            "AUTH_NLS_LXLAN": "AMERICAN",
            "AUTH_NLS_LXCTERRITORY": "AMERICA",
            "AUTH_NLS_LXCCHARSET": "AL32UTF8",
            "AUTH_SVR_RESPONSE": proof,
        }
        return [(key, value, 0) for key, value in values.items()]


def _pairs(pairs: list[Pair]) -> bytes:
    parts = [b"\x08", ub(len(pairs))]
    for key, value, flags in pairs:
        parts += [long_text(key.encode()), long_text(value.encode()), ub(flags)]
    return b"".join(parts)
