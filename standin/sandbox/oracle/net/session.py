"""One connection from its first packet to its end: the request loop.

A connection is served by one blocking thread. Requests are read through one `Reader`; each ends in
one answer, sent in one write. Whatever goes wrong in decoding ends this connection only, with the
request's bytes in the log.
"""

from __future__ import annotations

import time

import structlog

from sandbox.oracle.interface import Database, Disconnect, OracleFault
from sandbox.oracle.net import answers, piggybacks
from sandbox.oracle.net.answers import CallResult
from sandbox.oracle.net.execute import Executor
from sandbox.oracle.net.faults import fault_result, guarded
from sandbox.oracle.net.opening import handshake
from sandbox.oracle.net.opening.login import Login
from sandbox.oracle.net.packets import (
    END_OF_RESPONSE,
    BreakReceived,
    ClientGone,
    PacketStream,
)
from sandbox.oracle.net.piggybacks import PiggybackTarget
from sandbox.oracle.net.terms import Dialect, Terms
from sandbox.oracle.net.wire import Reader, WireError, text, ub

_PROTOCOL, _DATA_TYPES, _FUNCTION, _PIGGYBACK, _ONE_WAY, _FAST_LOGIN = 1, 2, 3, 17, 26, 34
_LOGIN_ONE, _LOGIN_TWO, _EXECUTE, _RE_EXECUTE, _RE_EXECUTE_FETCH, _FETCH = 118, 115, 94, 4, 78, 5
_LOB, _COMMIT, _ROLLBACK, _PING, _LOGOFF, _VERSION, _END_PIPELINE = 96, 14, 15, 147, 9, 59, 200
LOGIN_TIMEOUT_S = 60.0
_CANCELLED = 1013
_FATAL = frozenset({28, 1012, 1092, 3113, 3114})
_CANCEL_CHECK_S = 0.02
_LOGGED_BYTES = 400

log = structlog.get_logger(__name__)


class WireSession:
    """Serves one connection.

    Args:
        stream: packets of the connected socket.
        database: what is behind the listener.
        dialect: what the server announces.
    """

    def __init__(self, stream: PacketStream, database: Database, dialect: Dialect) -> None:
        self._stream = stream
        self._database = database
        self._dialect = dialect
        self._terms = Terms()
        self._reader = Reader(stream.read_data)
        self._login: Login | None = None
        self._target: PiggybackTarget | None = None
        self._sequence = 0
        self._break: int | None = None
        self._checked = 0.0
        self._service = ""

    def serve(self) -> None:
        """Serve until the client leaves; never raises, rolls back and closes at the end."""
        try:
            self._stream.wait_at_most(LOGIN_TIMEOUT_S)
            if self._connect():
                while self._request():
                    pass
        except (ClientGone, Disconnect):
            pass
        except Exception:  # a fault in decoding one client's bytes must not reach the others
            log.exception("connection_failed", request=self._reader.buffer[:_LOGGED_BYTES].hex(" "))
        finally:
            self._stream.close()
            self._end_session()

    def _end_session(self) -> None:
        if self._target is None:
            return
        try:
            guarded(self._target.session.close)
        except OracleFault as fault:
            log.warning("session_close_failed", code=fault.code)

    def _connect(self) -> bool:
        request = handshake.read_connect(self._stream)
        refusal = handshake.refusal(request, self._database.name, self._database.services)
        if refusal:
            handshake.refuse(self._stream, refusal)
            return False
        self._service = request.service or self._database.name
        self._terms.end_of_response = handshake.accept(self._stream, request, self._dialect)
        return True

    def _request(self) -> bool:
        """Read and answer one request; False after a logoff or a fatal error."""
        reader = self._reader
        if not self._terms.end_of_response:  # then no client sends a request before the answer
            reader.buffer, reader.position = b"", 0
        self._break = None
        pending: OracleFault | None = None
        try:
            while (message := reader.u8()) in (_PIGGYBACK, _ONE_WAY):
                pending = self._piggyback() or pending
                if message == _ONE_WAY:
                    return True
            if message == _PROTOCOL:
                banner = self._database.banner
                self._stream.send_message(handshake.protocol_answer(reader, self._dialect, banner))
            elif message == _DATA_TYPES:
                answer = handshake.data_types_answer(reader, self._dialect, self._terms)
                self._stream.send_message(answer)
            elif message == _FAST_LOGIN:
                self._fast_login()
            elif message == _FUNCTION:
                return self._function(self._header(), pending)
            else:
                raise WireError(f"message {message}")
        except BreakReceived as marker:
            self._answer_break(marker.kind)
        return True

    def _piggyback(self) -> OracleFault | None:
        """Do what a piggyback says; its error is that of the call behind it."""
        function = self._header()
        if self._target is None:
            raise WireError(f"piggyback {function} before the login")
        try:
            piggybacks.handle(function, self._reader, self._target)
        except OracleFault as fault:
            return fault
        return None

    def _header(self, *, token: bool = True) -> int:
        function, self._sequence = self._reader.u8(), self._reader.u8()
        if token and self._terms.field_version >= 18:
            self._reader.ub()
        return function

    def _function(self, function: int, pending: OracleFault | None, front: bytes = b"") -> bool:
        """Run one function and answer it; `front` goes before its answer."""
        out: bytes | bytearray
        code = 0
        try:
            if pending is not None:
                raise pending
            out = self._call(function)
        except OracleFault as fault:
            code = fault.code
            out = self._result(fault_result(fault))
        if self._break is not None:
            self._answer_break(self._break)
            return True
        self._send(front + out)
        return function != _LOGOFF and code not in _FATAL

    def _call(self, function: int) -> bytes | bytearray:
        """The answer of one function."""
        reader = self._reader
        if function == _LOGIN_ONE:
            self._login = Login(self._database, self._terms)
            return self._login.challenge(reader, self._service) + self._result(CallResult())
        if function == _LOGIN_TWO:
            return self._log_in()
        target = self._logged_in()
        if function in (_EXECUTE, _RE_EXECUTE, _RE_EXECUTE_FETCH, _FETCH):
            return self._statement_call(function, target.executor)
        if function == _LOB:
            return target.executor.lobs.call(reader) + self._result(CallResult())
        if function == _VERSION:
            return self._version()
        if function == _COMMIT:
            guarded(target.session.commit)
        elif function in (_ROLLBACK, _LOGOFF):
            guarded(target.session.rollback)
        elif function == _END_PIPELINE:
            reader.ub()
        elif function != _PING:
            raise WireError(f"function {function}")
        return answers.status(in_transaction=target.session.in_transaction)

    def _statement_call(self, function: int, executor: Executor) -> bytes | bytearray:
        if function == _EXECUTE:
            out, result = executor.execute(self._reader)
        elif function == _FETCH:
            out, result = executor.fetch(self._reader)
        else:
            out, result = executor.re_execute(self._reader, fetch=function == _RE_EXECUTE_FETCH)
        return out + self._result(result)

    def _log_in(self) -> bytes:
        if self._login is None:
            raise WireError("the second login call came first")
        if self._target is not None:
            self._login.change_password(self._reader, self._target.session)
            return b"\x08\0" + answers.status(in_transaction=self._target.session.in_transaction)
        session, client, pairs = self._login.finish(self._reader, self._service)
        self._stream.wait_at_most(None)
        executor = Executor(session, self._terms, self._check_cancel)
        self._target = PiggybackTarget(session, executor, client, self._terms)
        return pairs + self._result(CallResult())

    def _fast_login(self) -> None:
        """Protocol, data types and first login call in one message, answered in one response."""
        reader = self._reader
        reader.raw(3)
        if reader.u8() != _PROTOCOL:
            raise WireError("a fast login without its protocol message")
        front = handshake.protocol_answer(reader, self._dialect, self._database.banner)
        reader.raw(6)
        if reader.u8() != _DATA_TYPES:
            raise WireError("a fast login without its data types message")
        front += handshake.data_types_answer(reader, self._dialect, self._terms)
        if reader.u8() != _FUNCTION:
            raise WireError("a fast login without its login call")
        self._function(self._header(token=False), None, front)

    def _version(self) -> bytes:
        self._reader.skip("1v11" + ("v" if self._terms.field_version >= 11 else ""))
        banner = self._database.banner.encode()
        shown = text(banner) if self._terms.inner_lengths else banner
        return (
            b"\x08"
            + ub(len(banner))
            + shown
            + ub(self._terms.version_number)
            + answers.status(in_transaction=self._in_transaction)
        )

    def _logged_in(self) -> PiggybackTarget:
        if self._target is None:
            raise OracleFault(1012, "not logged on")
        return self._target

    @property
    def _in_transaction(self) -> bool:
        return self._target is not None and self._target.session.in_transaction

    def _result(self, result: CallResult) -> bytes:
        return answers.result_block(
            result, self._terms, in_transaction=self._in_transaction, sequence=self._sequence
        )

    def _send(self, message: bytes | bytearray) -> None:
        if self._terms.end_of_response:
            self._stream.send_message(message + answers.END_OF_RESPONSE, last_flags=END_OF_RESPONSE)
        else:
            self._stream.send_message(message)

    def _check_cancel(self) -> None:
        """Raise ORA-01013 when the client sent a marker; looks at the socket now and then only."""
        now = time.monotonic()
        if self._break is None and now - self._checked >= _CANCEL_CHECK_S:
            self._checked = now
            self._break = self._stream.take_marker()
        if self._break is not None:
            raise OracleFault(_CANCELLED, "user requested cancel of current operation")

    def _answer_break(self, kind: int) -> None:
        """End the call from outside: the dialogue of markers, then the error block."""
        self._stream.answer_marker(kind)
        self._reader.buffer, self._reader.position = b"", 0
        fault = OracleFault(_CANCELLED, "user requested cancel of current operation")
        self._send(self._result(fault_result(fault)))
