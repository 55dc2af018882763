// node-oracledb in thin mode: logs in, writes and reads every type, errs and goes on.
// Arguments: connect string, user, password. Prints one JSON object with what it saw, by step.
"use strict";

const oracledb = require("oracledb");

const [connectString, user, password] = process.argv.slice(2);
const seen = { version: oracledb.versionString, thin: oracledb.thin };

async function failure(call) {
  try {
    await call();
    return "no error";
  } catch (error) {
    return `${error.code}@${error.offset}`;
  }
}

async function main() {
  seen.wrongPassword = await failure(() => oracledb.getConnection({ connectString, user, password: "wrong" }));
  const connection = await oracledb.getConnection({ connectString, user, password });
  const rows = async (sql, binds = [], options = {}) => (await connection.execute(sql, binds, options)).rows;
  seen.server = connection.oracleServerVersionString;
  connection.module = "node client";
  connection.clientInfo = "shift 2";
  await connection.execute(
    "create table node_t (id number(10) primary key, name varchar2(40), amount number(15,2), opened date, " +
      "changed timestamp(6), zoned timestamp(6) with time zone, class char(5), code raw(10), weight binary_double, " +
      "ratio binary_float, term interval year to month, pause interval day to second, note clob, picture blob)"
  );
  const moment = new Date(Date.UTC(2024, 1, 29, 10, 11, 12));
  const placeholders = Array.from({ length: 14 }, (_, at) => `:${at + 1}`).join(", ");
  const inserted = await connection.execute(`insert into node_t values (${placeholders})`, [
    1, "grüße", 12.5, moment, moment, { val: moment, type: oracledb.DB_TYPE_TIMESTAMP_TZ }, "ab", Buffer.from([0, 1, 255]),
    0.5, 0.25, { val: new oracledb.IntervalYM({ years: 2, months: 3 }), type: oracledb.DB_TYPE_INTERVAL_YM },
    { val: new oracledb.IntervalDS({ days: 1, hours: 2, minutes: 3, seconds: 4, fseconds: 5000000 }), type: oracledb.DB_TYPE_INTERVAL_DS },
    { val: "é".repeat(40000), type: oracledb.DB_TYPE_CLOB }, { val: Buffer.alloc(50000, 7), type: oracledb.DB_TYPE_BLOB },
  ]);
  seen.inserted = inserted.rowsAffected;
  await connection.commit();
  const [row] = await rows("select * from node_t where id = 1");
  const note = await row[12].getData();
  const picture = await row[13].getData();
  seen.row = [
    row[0], row[1], row[2], row[3].toISOString(), row[4].toISOString(), row[5].toISOString(), row[6],
    row[7].toString("hex"), row[8], row[9], [row[10].years, row[10].months],
    [row[11].days, row[11].hours, row[11].minutes, row[11].seconds, row[11].fseconds], note.length, picture.length,
  ];
  const batch = Array.from({ length: 3000 }, (_, at) => [at + 10, `name ${at}`]);
  seen.batch = (await connection.executeMany("insert into node_t (id, name) values (:1, :2)", batch)).rowsAffected;
  await connection.rollback();
  seen.rolledBack = (await rows("select count(*) from node_t"))[0][0];
  const errors = (
    await connection.executeMany("insert into node_t (id, name) values (:1, :2)", [[2, "two"], [1, "again"], [3, "three"]], {
      batchErrors: true,
    })
  ).batchErrors;
  seen.batchErrors = errors.map((error) => `${error.message.split(":")[0]}@${error.offset}`);
  await connection.commit();
  seen.errors = {
    parse: await failure(() => connection.execute("selec 1 from dual")),
    table: await failure(() => connection.execute("select id from nowhere")),
    column: await failure(() => connection.execute("select id, nothing from node_t")),
    unique: await failure(() => connection.execute("insert into node_t (id) values (1)")),
    raised: await failure(() => connection.execute("begin raise_application_error(-20001, 'no'); end;")),
  };
  seen.after = (await rows("select id from node_t order by id")).map((each) => each[0]);
  const returned = await connection.execute("update node_t set name = 'x' where id > 1 returning id into :ids", {
    ids: { dir: oracledb.BIND_OUT, type: oracledb.NUMBER },
  });
  seen.returned = returned.outBinds.ids.sort();
  const block = await connection.execute("begin :out := :in * 2; end;", {
    in: 21,
    out: { dir: oracledb.BIND_OUT, type: oracledb.NUMBER },
  });
  seen.block = block.outBinds.out;
  const opened = await connection.execute("begin open :rc for select id, name from node_t order by id; end;", {
    rc: { dir: oracledb.BIND_OUT, type: oracledb.CURSOR },
  });
  const cursor = opened.outBinds.rc;
  seen.cursor = [cursor.metaData.map((column) => column.name), await cursor.getRows(10)];
  await cursor.close();
  connection.callTimeout = 300;
  seen.timeout = await failure(() => connection.execute("begin dbms_session.sleep(30); end;"));
  connection.callTimeout = 0;
  await connection.rollback();
  seen.identity = (
    await rows("select module, client_info from v$session where sid = sys_context('userenv', 'sid')")
  )[0];
  await connection.close();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
