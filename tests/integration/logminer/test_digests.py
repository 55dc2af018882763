"""Digests of rows: what Oracle computes over a table is what the texts of snapshot and redo say."""

from __future__ import annotations

from contextlib import closing

import pytest

from cdc.changes import AFTER, ChangeBatch, TableName
from cdc.digests import oracle as rendered
from cdc.digests.definition import Algorithm, RowDigest, row_digest
from cdc.digests.frames import digests
from cdc.readers.logminer import LogMinerReader
from cdc.readers.logminer.checks.grants import table_grants
from tests.contract.logminer_source import OracleSource, as_bridge, system_session
from tests.contract.reader_suite import Reading, snapshot

TYPES = {
    "a_number": (
        "number",
        [
            *(
                "0",
                "-0.01",
                "1200",
                "0.5",
                "-.5",
                "123456789012345678901234567890.12345678",
                "1e40",
                "-1e125",
            ),
            *("1e-130", "1.5e-25", "-9.99e39", "9.99e-20", "9.9e-21", "12e100", "9" * 38),
        ],
    ),
    "a_scaled": ("number(15,2)", ["1.50", "-0.10", "100"]),
    "a_float": ("float", ["0.1", "-1e20"]),
    "a_binary_float": ("binary_float", ["0.5", "-2"]),
    "a_binary_double": ("binary_double", ["0.1", "-1e20", "1.5e-7", "0"]),
    "a_text": (
        "varchar2(1000 char)",
        [
            *("';'", "':'", "' '", "'1:a'", "unistr('\\D83D\\DE00 \\00e9')"),
            *("rpad('x', 1000, 'x')", "rpad('é', 899, 'é')"),
        ],
    ),
    "a_char": ("char(10)", ["'ab'", "' '", "'é'"]),
    "an_nchar": ("nchar(5)", ["n'é'"]),
    "an_nvarchar": ("nvarchar2(300)", ["unistr('\\D83D\\DE00')", "n'plain'"]),
    "a_raw": ("raw(600)", ["hextoraw('00FF')", "hextoraw(rpad('AB', 1200, 'CD'))"]),
    "a_date": ("date", ["date '2024-02-29'", "to_date('0987-12-31 23:59:59', 'YYYY-MM-DD HH24:MI:SS')"]),
    "a_timestamp": (
        "timestamp(9)",
        [f"timestamp '2024-02-29 {time}'" for time in ("10:00:00", "10:11:10.1000", "10:11:12.000000001")],
    ),
    "a_timestamp_tz": (
        "timestamp(6) with time zone",
        [
            f"to_timestamp_tz('{text}', 'YYYY-MM-DD HH24:MI:SS.FF TZH:TZM')"
            for text in ("2024-02-29 23:30:00.5 -05:30", "2024-03-01 00:00:00.0 +00:00")
        ],
    ),
    "a_local_timestamp": (
        "timestamp(6) with local time zone",
        ["timestamp '2024-02-29 10:11:12.25'"],
    ),
    "an_interval_ds": (
        "interval day(3) to second(6)",
        [
            "interval '3 04:05:06.5' day to second",
            "interval '-0 00:00:10' day to second",
            "interval '100 00:00:00' day(3) to second",
        ],
    ),
    "an_interval_ym": (
        "interval year(3) to month",
        ["interval '1-10' year to month", "interval '-0-2' year to month"],
    ),
}
"""Column, its type, and literals of it; together they take more than the 4,000 bytes of a concatenation."""
WIDE = [f"wide_{n}" for n in range(4)]


@pytest.fixture
def every(source: OracleSource) -> OracleSource:
    """A schema with a table that has a column of every type, and enough of them for several groups."""
    columns = ", ".join(f"{name} {declared}" for name, (declared, _) in TYPES.items())
    wide = ", ".join(f"{name} varchar2(4000)" for name in WIDE)
    with system_session(source.settings.dsn) as cursor:
        cursor.execute(f"create table {source.owner}.every (id number(9) primary key, {columns}, {wide})")
        cursor.execute(f"alter table {source.owner}.every add supplemental log data (all) columns")
        for grant in table_grants([TableName(source.owner, "EVERY")], source.settings.user):
            cursor.execute(grant.removesuffix(";"))
    return source


def computed(source: OracleSource, definition: RowDigest, character_set: str) -> dict[str, int | None]:
    """Key -> digest, as the server computes it."""
    expression = rendered.digest(definition, character_set=character_set)
    with as_bridge(source.settings) as connection, connection.cursor() as cursor:
        cursor.execute("alter session set nls_numeric_characters = ',.' nls_date_format = 'DD-MON-RR'")
        cursor.execute(f'select "ID", {expression} from {source.owner}.every')
        return {str(key): None if value is None else int(value) for key, value in cursor}


def by_frames(definition: RowDigest, batches: list[ChangeBatch]) -> dict[str, int | None]:
    """Key -> digest, from the texts that the reader gave."""
    found: dict[str, int | None] = {}
    for changes in (table for batch in batches for table in batch.tables.values()):
        values = digests(definition, changes.frame, AFTER)
        found |= dict(zip(changes.frame[f"{AFTER}ID"], values, strict=True))
    return found


def test_server_and_frame_agree_on_every_type(every: OracleSource) -> None:
    """Each literal of each type alone in its row, NULL in all, and whole rows; from snapshot and redo."""
    rows: list[dict[str, str]] = [{}, {name: literals[0] for name, (_, literals) in TYPES.items()}]
    rows[1] |= dict.fromkeys(WIDE, "rpad('é', 1900, 'é')")
    rows += [{name: one} for name, (_, literals) in TYPES.items() for one in literals]
    rows += [dict.fromkeys(WIDE, f"rpad('x', {size}, 'y')") for size in (899, 900, 901, 1800, 1801, 4000)]

    def insert(first: int) -> None:
        with every.session() as session:
            for number, row in enumerate(rows, first):
                names = "".join(f", {name}" for name in row)
                values = "".join(f", {one}" for one in row.values())
                session.execute(f"insert into every (id{names}) values ({number}{values})")
            session.commit()

    insert(1)
    reader = LogMinerReader("ccb", every.settings, [TableName(every.owner, "EVERY")])
    with closing(reader):
        batches = snapshot(reader, max_rows=1_000)
        insert(1_001)
        reading = Reading(reader, batches[-1].resume)
        reading.take(len(rows))
        (table,) = {changes.table for batch in batches for changes in batch.tables.values()}
    for algorithm in Algorithm:
        definition = row_digest(table, table.column_names, kind="oracle", algorithm=algorithm)
        assert len(definition.groups) > 4
        found = by_frames(definition, [*batches, *reading.batches])
        for character_set in (rendered.UTF8, "WE8MSWIN1252"):
            by_server = computed(every, definition, character_set)
            different = [rows[int(key) % 1_000 - 1] for key in found if found[key] != by_server[key]]
            assert different == []
            assert len(found) == len(by_server) == 2 * len(rows)
        assert None not in found.values()
        assert len(set(found.values())) == len(found)
