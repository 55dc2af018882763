"""Functions of time, session and system: SYSDATE, SYS_CONTEXT, SCN_TO_TIMESTAMP and kin."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime

from sandbox.oracle import cells
from sandbox.oracle.engine.functions.conversions import to_number, to_text, to_time, to_zoned
from sandbox.oracle.engine.functions.expressions import Expr, derived, strict
from sandbox.oracle.engine.functions.registered import FUNCTIONS, function
from sandbox.oracle.engine.functions.show_ddl import table_ddl
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.store.tables import Table
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.engine.values.formats import zoned_cell
from sandbox.oracle.engine.values.sql_types import NUMBER, SqlType
from sandbox.oracle.engine.values.zones import offset_minutes, offset_text, zone
from sandbox.oracle.interface import Cell, OracleFault, Row

FromEnv = Callable[[Env], Cell]


def _constant(name: str, kind: SqlType, compute: FromEnv) -> None:
    function(name, 0, 1)(lambda args: derived(kind, lambda row, env: compute(env)))


def _zoned_now(env: Env, zone_name: str) -> bytes:
    moment = datetime.fromtimestamp(env.now, UTC)
    offset = offset_minutes(zone_name, env.now)
    local = datetime.fromtimestamp(env.now, zone(zone_name)).replace(tzinfo=None)
    return zoned_cell(local, moment.microsecond * 1000, offset)


def _session_text(compute: Callable[[Env], str]) -> FromEnv:
    return lambda env: compute(env).encode() or None


CONTEXT: dict[str, Callable[[Env], str]] = {
    "SESSION_USER": lambda env: env.session.user,
    "CURRENT_USER": lambda env: env.session.user,
    "CURRENT_SCHEMA": lambda env: env.session.schema,
    "SESSION_SCHEMA": lambda env: env.session.schema,
    "SID": lambda env: str(env.session.id),
    "SESSIONID": lambda env: str(env.session.id),
    "CLIENT_IDENTIFIER": lambda env: env.session.client.identifier,
    "CLIENT_INFO": lambda env: env.session.client.info,
    "MODULE": lambda env: env.session.client.module,
    "ACTION": lambda env: env.session.client.action,
    "HOST": lambda env: env.session.client.machine,
    "DB_NAME": lambda env: env.session.database.name,
    "DB_UNIQUE_NAME": lambda env: env.session.database.name,
    "INSTANCE_NAME": lambda env: env.session.database.name,
    "SERVICE_NAME": lambda env: env.session.client.service or env.session.database.name,
    "CON_NAME": lambda env: env.session.container.name,
    "CON_ID": lambda env: str(env.session.container.number),
    "CDB_NAME": lambda env: env.session.database.name if env.session.database.containers.root else "",
    "DATABASE_ROLE": lambda env: env.session.database.role,
    "ISDBA": lambda env: "TRUE" if env.session.user == "SYS" else "FALSE",
    "LANGUAGE": lambda env: "AMERICAN_AMERICA.AL32UTF8",
    "NLS_DATE_FORMAT": lambda env: env.session.nls["NLS_DATE_FORMAT"],
    "IP_ADDRESS": lambda env: "127.0.0.1",
    "OS_USER": lambda env: "oracle",
}


def _sys_context(args: list[Expr]) -> Expr:
    space, name = to_text(args[0]).run, to_text(args[1]).run

    def run(row: Row, env: Env) -> Cell:
        if (space(row, env) or b"").upper() != b"USERENV":
            return None
        found = CONTEXT.get((name(row, env) or b"").decode().upper())
        if found is None:
            raise OracleFault(2003, "invalid USERENV parameter")
        return found(env).encode() or None

    return derived(sql_types.text(256), run, *args)


def _con_id_to_dbid(args: list[Expr]) -> Expr:
    number = to_number(args[0]).run

    def run(row: Row, env: Env) -> Cell:
        cell, containers = number(row, env), env.session.database.containers
        if cell is None:
            return None
        asked = cells.decode_integer(cell)
        if containers.root is None:
            return cells.encode_number(0)
        return cells.encode_number(next((one.dbid for one in containers if one.number == asked), 0))

    return derived(NUMBER, run, *args)


def _scn_to_timestamp(args: list[Expr]) -> Expr:
    scn = to_number(args[0]).run

    def run(row: Row, env: Env) -> Cell:
        cell = scn(row, env)
        if cell is None:
            return None
        database = env.session.database
        number = cells.decode_integer(cell)
        if not database.resetlogs_scn <= number <= database.storage.scn:
            raise OracleFault(8181, "specified number is not a valid system change number")
        return cells.encode_timestamp(database.local_time(database.storage.journal.time_of(number)))

    return derived(sql_types.TIMESTAMP, run, *args)


def _timestamp_to_scn(args: list[Expr]) -> Expr:
    moment = to_time(args[0]).run

    def run(row: Row, env: Env) -> Cell:
        cell = moment(row, env)
        if cell is None:
            return None
        database = env.session.database
        local = cells.decode_date(cell).replace(tzinfo=zone(database.time_zone))
        scn = database.storage.journal.scn_at(local.timestamp())
        if scn is None:
            raise OracleFault(8180, "no snapshot found based on specified time")
        return cells.encode_number(scn)

    return derived(NUMBER, run, *args)


def _get_ddl(args: list[Expr]) -> Expr:
    runs = [to_text(arg).run for arg in args]

    def run(row: Row, env: Env) -> Cell:
        kind, name, *owner = [(each(row, env) or b"").decode() for each in runs]
        if kind != "TABLE":
            raise OracleFault(
                31600, f"invalid input value {kind} for parameter OBJECT_TYPE in function GET_DDL"
            )
        found = env.session.find(owner[0] if owner else None, name, "SELECT")
        if not isinstance(found, Table):
            raise OracleFault(31603, f'object "{name}" of type TABLE not found')
        return table_ddl(found).encode()

    return derived(sql_types.CLOB, run, *args)


def _at_time_zone(args: list[Expr]) -> Expr:
    moment, name = to_zoned(args[0]).run, to_text(args[1]).run

    def run(row: Row, env: Env) -> Cell:
        cell, zone_name = moment(row, env), name(row, env)
        if cell is None or zone_name is None:
            return None
        seconds = cells.decode_timestamp_tz(cell).timestamp()
        minutes = offset_minutes(zone_name.decode(), seconds)
        hours, rest = divmod(abs(minutes), 60)
        sign = -1 if minutes < 0 else 1
        return cell[:11] + bytes((sign * hours + 20, sign * rest + 60))

    return derived(sql_types.TIMESTAMP_TZ, run, *args)


def _tz_offset(args: list[Expr]) -> Expr:
    name = to_text(args[0]).run

    def run(row: Row, env: Env) -> Cell:
        cell = name(row, env)
        return None if cell is None else offset_text(offset_minutes(cell.decode(), env.now)).encode()

    return derived(sql_types.text(7), run, *args)


def _register() -> None:
    _constant(
        "SYSDATE", sql_types.DATE, lambda env: cells.encode_date(env.session.database.local_time(env.now))
    )
    _constant(
        "SYSTIMESTAMP", sql_types.TIMESTAMP_TZ, lambda env: _zoned_now(env, env.session.database.time_zone)
    )
    _constant("CURRENT_TIMESTAMP", sql_types.TIMESTAMP_TZ, lambda env: _zoned_now(env, env.session.time_zone))
    _constant(
        "LOCALTIMESTAMP",
        sql_types.TIMESTAMP,
        lambda env: cells.encode_timestamp(env.session.local_time(env.now)),
    )
    _constant("CURRENT_DATE", sql_types.DATE, lambda env: cells.encode_date(env.session.local_time(env.now)))
    _constant("USER", sql_types.text(128), _session_text(lambda env: env.session.user))
    _constant(
        "UID",
        NUMBER,
        lambda env: cells.encode_number(env.session.users.get(env.session.user).number),
    )
    _constant("DBTIMEZONE", sql_types.text(6), _session_text(lambda env: "+00:00"))
    _constant(
        "SESSIONTIMEZONE",
        sql_types.text(64),
        _session_text(
            lambda env: (
                env.session.time_zone
                if "/" not in env.session.time_zone and ":" in env.session.time_zone
                else offset_text(env.session.offset_minutes(env.now))
            )
        ),
    )
    _constant("SYS_GUID", sql_types.raw(16), lambda env: os.urandom(16))
    _constant(
        "DBMS_FLASHBACK.GET_SYSTEM_CHANGE_NUMBER",
        NUMBER,
        lambda env: cells.encode_number(env.session.storage.next_scn()),
    )
    function("SYS_CONTEXT", 2, 3)(_sys_context)
    function("CON_ID_TO_DBID", 1)(_con_id_to_dbid)
    function("AT TIME ZONE", 2)(_at_time_zone)
    function("TZ_OFFSET", 1)(_tz_offset)
    function("SCN_TO_TIMESTAMP", 1)(_scn_to_timestamp)
    function("TIMESTAMP_TO_SCN", 1)(_timestamp_to_scn)
    function("DBMS_METADATA.GET_DDL", 2, 3)(_get_ddl)
    function("NLS_CHARSET_ID", 1)(
        lambda args: strict(
            NUMBER,
            lambda cell: cells.encode_number({b"AL32UTF8": 873, b"AL16UTF16": 2000}.get(cell, 1)),
            to_text(args[0]),
        )
    )
    FUNCTIONS["USERENV"] = lambda args: _sys_context(
        [Expr(sql_types.text(7), lambda row, env: b"USERENV"), *args]
    )


_register()
