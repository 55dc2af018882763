"""Calls that ride in front of another call and have no answer of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.oracle.interface import Client, Session
from sandbox.oracle.net.execute import Executor
from sandbox.oracle.net.terms import Terms
from sandbox.oracle.net.wire import Reader, WireError

_CLOSE_CURSORS, _SCHEMA, _END_TO_END, _FREE_LOBS = 105, 152, 135, 96
_CONTEXT, _SESSION_STATE, _BEGIN_PIPELINE, _ALTER_SESSION, _RELEASE = 154, 176, 199, 204, 163


@dataclass
class PiggybackTarget:
    """What piggybacks act on."""

    session: Session
    executor: Executor
    client: Client
    terms: Terms


def handle(function: int, reader: Reader, target: PiggybackTarget) -> None:
    """Read a piggyback behind its header and do what it says.

    Raises:
        WireError: an unknown one, which cannot be skipped.
        OracleFault: from the engine.
    """
    act = _ACTIONS.get(function)
    if act is None:
        raise WireError(f"piggyback {function}")
    act(reader, target)


def _close_cursors(reader: Reader, target: PiggybackTarget) -> None:
    reader.u8()
    for number in [reader.ub() for _ in range(reader.ub())]:
        target.executor.cursors.close(number)


def _set_schema(reader: Reader, target: PiggybackTarget) -> None:
    reader.u8()
    schema = (reader.long_text() or b"").decode("utf-8", "replace")
    target.session.set_current_schema(schema)


def _free_lobs(reader: Reader, target: PiggybackTarget) -> None:
    reader.u8()
    total = reader.ub()
    reader.skip("1vvv111" + "v1vvv1" + "1v1v1v")
    target.executor.lobs.free(reader.raw(total))


def _skip_context(reader: Reader, target: PiggybackTarget) -> None:
    reader.skip("1v1")
    count = reader.ub()
    reader.skip("v1t")
    _skip_pairs(reader, count)


def _skip_alter_session(reader: Reader, target: PiggybackTarget) -> None:
    reader.skip("v1")
    _skip_pairs(reader, reader.ub())


def _skip_pairs(reader: Reader, count: int) -> None:
    for _ in range(count):
        reader.long_text()
        reader.long_text()
        reader.ub()


def _identify(reader: Reader, target: PiggybackTarget) -> None:
    reader.skip("11v")
    given = [(reader.u8(), reader.ub()) for _ in range(3)]
    reader.skip("1v1v")
    given.append((reader.u8(), reader.ub()))
    reader.skip("1v1v")
    given.append((reader.u8(), reader.ub()))
    texts = [_given_text(reader, length, target.terms) if present else None for present, length in given]
    client = target.client
    identifier, module, action, info = texts[:4]
    client.identifier = client.identifier if identifier is None else identifier
    client.module = client.module if module is None else module
    client.action = client.action if action is None else action
    client.info = client.info if info is None else info
    target.session.identify(client)


def _given_text(reader: Reader, length: int, terms: Terms) -> str:
    if not terms.inner_lengths:
        return reader.raw(length).decode("utf-8", "replace")
    if length:
        return (reader.text() or b"").decode("utf-8", "replace")
    if reader.peek() == 0:  # some clients write the length byte of an empty text, no message is 0
        reader.u8()
    return ""


_ACTIONS: dict[int, Callable[[Reader, PiggybackTarget], object]] = {
    _CLOSE_CURSORS: _close_cursors,
    _SCHEMA: _set_schema,
    _END_TO_END: _identify,
    _FREE_LOBS: _free_lobs,
    _CONTEXT: _skip_context,
    _SESSION_STATE: lambda reader, target: reader.ub(),
    _BEGIN_PIPELINE: lambda reader, target: reader.skip("v11"),
    _ALTER_SESSION: _skip_alter_session,
    _RELEASE: lambda reader, target: reader.skip("11v"),
}
