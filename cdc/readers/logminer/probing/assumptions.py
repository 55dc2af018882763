"""What the LogMiner reader takes to be true of Oracle and no document settles: the table of the probe.

The manual prints it (`docs/probe.md`), a test keeps both equal. A check of the same name is in one of the
modules beside this one.
"""

from __future__ import annotations

from cdc.assumptions import Assumption

_MANUAL = "Oracle Database Reference 19c, V$LOGMNR_CONTENTS"
_UTILITIES = "Oracle Database Utilities 19c, Using LogMiner"
_LOBS = "debezium pull requests 7425, 7472, 8076: sequences recorded on 19c and 23ai"
_RECORDED = "rows recorded from real databases by the tests of debezium and oracdc"
_OBJECTS = "text of the view ALL_OBJECTS, 11.2"

ASSUMPTIONS = (
    # -- transactions
    Assumption(
        "transaction-rows",
        "a transaction shows one START and then one COMMIT or ROLLBACK row with its XID",
        _MANUAL,
        "assembly",
    ),
    Assumption(
        "rows-in-order",
        "rows come in the order of their SCN",
        _UTILITIES,
        "batch_cutter, window",
    ),
    Assumption(
        "rolled-back",
        "a transaction that was rolled back as a whole never looks committed",
        _UTILITIES,
        "assembly",
    ),
    Assumption(
        "open-transaction",
        "rows of an open transaction are shown, without its end",
        _UTILITIES + ": without COMMITTED_DATA_ONLY",
        "assembly",
    ),
    Assumption(
        "oldest-open",
        "GV$TRANSACTION shows an open transaction with a START_SCN not above that of its START row",
        "Oracle Database Reference 19c, V$TRANSACTION",
        "snapshot",
    ),
    Assumption(
        "start-inside",
        "LogMiner that starts inside a transaction still shows its later rows and its COMMIT row, "
        "with the same XID or one that ends in ffffffff",
        "debezium DBZ-1145, DBZ-5090; its manual on log.mining.window.max.ms",
        "stream, assembly",
    ),
    Assumption(
        "commit-scn",
        "the SCN of the COMMIT row is that of ORA_ROWSCN of its rows",
        "OpenLogReplicator issue 126 shows one less",
        "snapshot, batch_cutter",
    ),
    Assumption(
        "commit-visible",
        "a query AS OF the SCN of the COMMIT row sees its rows, one AS OF the SCN before does not",
        "Oracle Database SQL Language Reference 19c, flashback query",
        "snapshot, reselect",
    ),
    Assumption(
        "user-name",
        "USERNAME is the session's user where LogMiner saw the START row",
        _MANUAL,
        "batches (own writes)",
    ),
    Assumption(
        "client-id",
        "CLIENT_ID is the session's identifier, also one that was changed in the session",
        _MANUAL,
        "batches (own writes)",
    ),
    Assumption(
        "parent-xid",
        "PXID of serial work is empty, zero or XID itself",
        _RECORDED,
        "rows",
    ),
    Assumption(
        "source-container",
        "SRC_CON_NAME of START, COMMIT and data rows is the pluggable database, or empty in a database "
        "without containers",
        "Oracle Database Reference 19c: filled when mining with a dictionary",
        "contents",
    ),
    Assumption(
        "thread-number",
        "THREAD# of every row is a thread of V$THREAD",
        "debezium reports THREAD# 0 on COMMIT rows of empty transactions",
        "assembly",
    ),
    Assumption(
        "status-values",
        "STATUS of rows of captured tables is 0, 2 or 5",
        _MANUAL,
        "assembly",
    ),
    Assumption(
        "row-time",
        "TIMESTAMP is local time of the database host",
        "debezium DBZ-6355; offset of SYSTIMESTAMP",
        "batches",
    ),
    Assumption(
        "query-is-complete",
        "the filter of the reader's query lets every row pass that the assembly needs",
        "its own text; SEG_OWNER and TABLE_NAME of rows that belong to a table",
        "contents",
    ),
    # -- work that was undone
    Assumption(
        "undo",
        "work undone by a savepoint or a failed statement is shown again with ROLLBACK = 1, and is "
        "taken back",
        _UTILITIES,
        "undo, transaction",
    ),
    Assumption(
        "undo-lob",
        "the same in a table with LOB columns: rows with zero ROW_ID and their closing row are undone as one",
        _LOBS,
        "undo, transaction",
    ),
    Assumption(
        "undo-iot",
        "the same in an index-organised table",
        "rows recorded for debezium: object part set, block and row zero",
        "undo",
    ),
    Assumption(
        "compensation-row",
        "a compensation names the object and ROW_ID of an earlier row, with the inverse operation",
        _LOBS,
        "undo",
    ),
    Assumption(
        "compensation-text",
        "the text of a compensation may be empty, and is never needed",
        "debezium dbz#1960",
        "assembly",
    ),
    Assumption(
        "zero-row-id",
        "a ROW_ID that is not the row's own ends in twelve A",
        _LOBS,
        "undo",
    ),
    Assumption(
        "lob-rows-closed",
        "rows with zero ROW_ID are closed by a row of the same object with the real one, an UPDATE or"
        " an INTERNAL row",
        _LOBS,
        "undo",
    ),
    Assumption(
        "internal-rows",
        "INTERNAL rows hold no text",
        _LOBS,
        "assembly",
    ),
    # -- texts
    Assumption(
        "plain-rows",
        "INSERT, UPDATE and DELETE of one row are one row each, and an update's WHERE names all columns",
        _UTILITIES + ": supplemental logging of all columns",
        "statements, row_images",
    ),
    Assumption(
        "key-update",
        "an update of the key is one UPDATE row with the old and the new key",
        _UTILITIES,
        "row_images",
    ),
    Assumption(
        "many-rows",
        "statements that change many rows show a row each, array inserts and MERGE too",
        _UTILITIES,
        "assembly",
    ),
    Assumption(
        "direct-path",
        "direct-path inserts with logging come as INSERT, whatever OPERATION is called",
        "Google Datastream asks for OPERATION 'DIRECT INSERT'",
        "assembly",
    ),
    Assumption(
        "locked-rows",
        "SELECT .. FOR UPDATE leaves no row with data",
        _MANUAL,
        "assembly",
    ),
    Assumption(
        "no-rowid-in-text",
        "with NO_ROWID_IN_STMT no text names ROWID",
        "Oracle Database PL/SQL Packages Reference 19c, DBMS_LOGMNR",
        "statements",
    ),
    Assumption(
        "long-texts",
        "a text above 4000 bytes continues in the next row with the same RS_ID and SSN; CSF is 1 in all"
        " but the last",
        _MANUAL,
        "assembly",
    ),
    Assumption(
        "char-padding",
        "CHAR values keep their padding, and apostrophes are doubled",
        _RECORDED,
        "scanner, values",
    ),
    Assumption(
        "empty-string",
        "an empty text is NULL in the redo as in the table",
        _RECORDED,
        "values",
    ),
    Assumption(
        "text-values",
        "line ends, tabs, quotes and four-byte characters come as they are",
        _RECORDED,
        "scanner",
    ),
    Assumption(
        "number-text",
        "NUMBER texts are exact, with a point, perhaps with an exponent",
        _RECORDED,
        "values",
    ),
    Assumption(
        "date-text",
        "DATE and TIMESTAMP texts follow the formats of our session",
        "recorded texts in other formats where a session had set none",
        "formats",
    ),
    Assumption(
        "zone-text",
        "TIMESTAMP WITH TIME ZONE texts hold the offset",
        _RECORDED,
        "formats",
    ),
    Assumption(
        "local-zone-text",
        "TIMESTAMP WITH LOCAL TIME ZONE texts are in the session's zone, which we set to UTC",
        _RECORDED,
        "formats",
    ),
    Assumption(
        "raw-text",
        "RAW comes as HEXTORAW of its digits",
        _RECORDED,
        "values",
    ),
    Assumption(
        "national-text",
        "NCHAR and NVARCHAR2 come as UNISTR or as they are",
        _RECORDED,
        "redo_values, values",
    ),
    Assumption(
        "float-text",
        "BINARY_FLOAT and BINARY_DOUBLE texts are those of TO_CHAR",
        _RECORDED,
        "values",
    ),
    Assumption(
        "interval-text",
        "INTERVAL texts are those of TO_CHAR",
        _RECORDED,
        "values",
    ),
    # -- kinds of tables
    Assumption(
        "lob-values",
        "changes of LOB columns keep the row's other columns right",
        _LOBS,
        "assembly, row_images",
    ),
    Assumption(
        "iot-rows",
        "rows of an index-organised table name the table, with the index's object id",
        "docs.oracle.com: DATA_OBJ# is the object's number",
        "captured, undo",
    ),
    Assumption(
        "partition-rows",
        "rows of partitions and subpartitions name the table; a move is a DELETE and an INSERT, or an UPDATE",
        _RECORDED,
        "captured, undo",
    ),
    Assumption(
        "identity-column",
        "tables with an identity column are shown",
        "debezium streams them; the 19c manual lists them as unsupported",
        "table_checks",
    ),
    Assumption(
        "temporary-table",
        "rows of temporary tables are not shown, or with a text that says so",
        _RECORDED,
        "assembly",
    ),
    Assumption(
        "long-name",
        "tables with names above 30 characters come UNSUPPORTED",
        "debezium: warns once per table",
        "table_checks",
    ),
    Assumption(
        "ddl-row",
        "DDL is a row that names owner and table, its INFO begins with USER DDL",
        _RECORDED,
        "captured, statements",
    ),
    Assumption(
        "truncate-row",
        "TRUNCATE is a DDL row, and no row of the table is shown as deleted",
        _UTILITIES,
        "captured",
    ),
    Assumption(
        "fast-default",
        "a column added with a default logs nothing for the rows that are there, and their next "
        "update may lack it",
        "Oracle Database SQL Language Reference 19c, ALTER TABLE ADD; oracdc issue 159",
        "captured",
    ),
    Assumption(
        "rows-before-ddl",
        "rows older than the table's last DDL can be read by segment column numbers",
        "rows recorded for debezium with OBJ# and COL names",
        "undecoded",
    ),
    Assumption(
        "type-json",
        "a row with a JSON column (21c) comes UNSUPPORTED",
        "debezium pull requests 4973, 6721",
        "table_checks",
    ),
    Assumption(
        "type-boolean",
        "a row with a BOOLEAN column (23ai) comes UNSUPPORTED",
        "debezium pull request 6721",
        "table_checks",
    ),
    Assumption(
        "type-vector",
        "a row with a VECTOR column (23ai) comes UNSUPPORTED",
        "debezium pull request 6721",
        "table_checks",
    ),
    Assumption(
        "type-rowid",
        "a row with a ROWID column comes UNSUPPORTED",
        _UTILITIES + ": supported types",
        "table_checks",
    ),
    Assumption(
        "type-urowid",
        "a row with a UROWID column comes UNSUPPORTED",
        _UTILITIES + ": supported types",
        "table_checks",
    ),
    Assumption(
        "type-xml",
        "a row with an XMLTYPE column comes with XML rows (68 to 71) or UNSUPPORTED",
        _RECORDED,
        "xml",
    ),
    Assumption(
        "type-object",
        "a row with a collection or object column comes UNSUPPORTED",
        _UTILITIES + ": supported types",
        "table_checks",
    ),
    Assumption(
        "type-bfile",
        "a table with a BFILE column shows no data rows",
        _UTILITIES + ": supported types",
        "table_checks",
    ),
    # -- the log and its views
    Assumption(
        "last-redo-moves",
        "while there is work V$THREAD.LAST_REDO_CHANGE# passes a commit within 3.5 seconds",
        "checkpoint progress record, written every 3 seconds (ixora.com.au X$KCCCP)",
        "window (FLUSH_S)",
    ),
    Assumption(
        "end-at-last-redo",
        "START_LOGMNR takes V$THREAD.LAST_REDO_CHANGE# as its end",
        "debezium takes one less: pull requests 6041, 6639",
        "window",
    ),
    Assumption(
        "start-again",
        "START_LOGMNR may be called again with another range without END_LOGMNR",
        _UTILITIES,
        "session",
    ),
    Assumption(
        "current-log",
        "each open thread has one log with STATUS CURRENT",
        "Oracle Database Reference 19c, V$LOG",
        "available_logs",
    ),
    Assumption(
        "log-sequence",
        "within a thread no log begins before the one before it ended",
        "Oracle Database Reference 19c, V$ARCHIVED_LOG",
        "logs",
    ),
    Assumption(
        "thread-states",
        "each thread that is open, PRIVATE ones too, has its LAST_REDO_CHANGE#",
        "Oracle Database Reference 19c, parameter THREAD",
        "window",
    ),
    Assumption(
        "flashback",
        "a re-select AS OF a commit that is over gives the values of then, LOBs too",
        "Oracle Database SQL Language Reference 19c, flashback query",
        "reselect",
    ),
    Assumption(
        "undo-retention",
        "undo is kept for at least 900 seconds",
        "default of parameter UNDO_RETENTION",
        "snapshot, reselect",
    ),
    Assumption(
        "objects-seen",
        "the reader's dictionary queries give the object id of every row of a table that is granted to it",
        _OBJECTS,
        "dictionary",
    ),
    Assumption(
        "character-set",
        "we know the database character set",
        "Python codecs and our own list",
        "charsets",
    ),
    # -- sessions and calls
    Assumption(
        "session-formats",
        "the formats set at login are in force, in the pluggable database too",
        "Oracle Database Globalization Support Guide 19c",
        "connect",
    ),
    Assumption(
        "cancel",
        "a call can be cancelled (ORA-01013), and the session remains usable",
        "python-oracledb manual",
        "recovery",
    ),
    Assumption(
        "call-timeout",
        "a call that takes too long ends with DPY-4024, and the session remains usable",
        "python-oracledb manual",
        "recovery",
    ),
    Assumption(
        "array-block",
        "a block passes arrays to a procedure of its own, and leaves no transaction where it rolls back and "
        "raises",
        "Oracle Database PL/SQL Language Reference 19c, FORALL; PL/SQL User's Guide, PL/SQL tables",
        "call",
    ),
    Assumption(
        "statements-parse",
        "every statement that we send is legal in this release",
        "Oracle Database Reference 12.1 to 23ai: columns of the views",
        "probing",
    ),
)
