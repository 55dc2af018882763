"""Corners of the SQL_REDO grammar: what must be refused, and what must not be."""

from __future__ import annotations

import pytest

from cdc.readers.logminer.ddl.columns import altered_columns
from cdc.readers.logminer.ddl.statements import (
    Ddl,
    exchanged_table,
    is_of_partitions,
    read_ddl,
    rows_lost_by_alter,
    takes_key,
)
from cdc.readers.logminer.redo_sql.blocks import read_lob
from cdc.readers.logminer.redo_sql.formats import timestamp_tz_text
from cdc.readers.logminer.redo_sql.internal import decode
from cdc.readers.logminer.redo_sql.redo_values import Call, Hex, RedoSyntaxError
from cdc.readers.logminer.redo_sql.statements import read_statement
from cdc.readers.logminer.redo_sql.unescaped_apostrophes import read_relaxed
from cdc.readers.logminer.redo_sql.xml import read_xml_begin, read_xml_piece


@pytest.mark.parametrize(
    "text",
    [
        """insert into "S"."T"("K","V") values ('1',HEXTORAW('0g'));""",
        """insert into "S"."T"("K","V") values ('1',TO_DATE('never'));""",
        """insert into "S"."T"("K","V") values ('1',CURRENT_DATE);""",
        """insert into "S"."T"("K","K") values ('1','2');""",
        """update "S"."T" set "V" = '1', "V" = '2' where "K" = '1';""",
        """update "S"."T" set "V" = '1' where "K" = '1' and "K" = '2';""",
        """update "S"."T" set "V" = '1' where "K" = '1' and "K" IS NOT NULL;""",
        """delete from "S"."T" where ROWID = 'AAA' and ROWID = 'AAB';""",
        """delete from "S"."T" where "K" >= '1';""",
        """delete from "S"."T" where "K" = '1' or "K" = '2';""",
        """delete "S"."T";""",
    ],
)
def test_a_text_that_could_mean_something_else_is_refused(text: str) -> None:
    """A column named twice, bytes that are none, a comparison: none of it is guessed at."""
    with pytest.raises(RedoSyntaxError):
        read_statement(text)


def test_relaxed_reading_leaves_the_arguments_of_conversions_alone() -> None:
    """A date beside an unescaped apostrophe does not make a text ambiguous: its format is not free text."""
    text = (
        """update "S"."T" set "V" = 'l'eau', "D" = TO_DATE('2024-02-29 00:00:00', 'YYYY-MM-DD HH24:MI:SS') """
        """where "K" = '1' and "R" = HEXTORAW('0a');"""
    )
    statement = read_relaxed(text)
    assert statement.values == {
        "V": "l'eau",
        "D": Call("TO_DATE", ("2024-02-29 00:00:00", "YYYY-MM-DD HH24:MI:SS")),
    }


def test_text_is_not_a_buffer_of_bytes() -> None:
    """PL/SQL would take the letters for hexadecimal digits: a BLOB with them would be wrong."""
    with pytest.raises(RedoSyntaxError, match="buffer of bytes"):
        read_lob(" buf_b := 'face';\n  dbms_lob.write(loc_b, 2, 1, buf_b);")


def test_a_clob_may_be_written_from_bytes() -> None:
    """The locator says what the column is, the buffer only how the piece is written."""
    lob = read_lob(" buf_b := HEXTORAW('4869');\n  dbms_lob.write(loc_c, 2, 1, buf_b);")
    assert (lob.binary, lob.writes[0].data) == (False, Hex("4869"))


def test_an_xml_constructor_without_arguments_is_refused() -> None:
    """No crash on a text that is nearly one that begins a document."""
    with pytest.raises(RedoSyntaxError):
        read_xml_begin("""update "S"."T" a set a."X" = XMLType() where a."K" = '1';""")


@pytest.mark.parametrize("text", ["XML_REDO := NULL", "XML_REDO := NULL:0"])
def test_an_empty_xml_piece_has_no_text(text: str) -> None:
    """The last piece of a document may be NULL."""
    assert read_xml_piece(text, charset="utf-8") == (None, 0)


@pytest.mark.parametrize(
    ("text", "ddl"),
    [
        ("/* V7 */ alter /* by hand */ table s.t add c number", Ddl("ALTER", "TABLE", "S", "T")),
        ("-- note\ntruncate table t", Ddl("TRUNCATE", "TABLE", None, "T")),
        ("create or\nreplace view s.v as select 1 from dual", Ddl("CREATE", "VIEW", "S", "V")),
        ("grant select on s.t to u", Ddl("GRANT", None, "S", "T")),
        ("grant create session to u", Ddl("GRANT", None, None, None)),
        ("alter session set x = 1", Ddl("ALTER", "SESSION", None, None)),
        ('comment on column "s"."t"."c" is \'x\'', Ddl("COMMENT", "COLUMN", "s", "t")),
        ("create materialized view log on s.t", Ddl("CREATE", "MATERIALIZED VIEW LOG", "S", "T")),
    ],
)
def test_ddl_is_read_as_its_author_typed_it(text: str, ddl: Ddl) -> None:
    """Comments, line breaks and rights do not hide which object a DDL text is about."""
    assert read_ddl(text) == ddl


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("alter table s.p exchange partition p1 with table s.t including indexes", ("S", "T")),
        ('ALTER TABLE P EXCHANGE SUBPARTITION x WITH TABLE /* ! */ "s"."t"', ("s", "t")),
        ('alter table p\nexchange partition for (1)\nwith table "t"', (None, "t")),
        ("alter table p exchange /* 1 */ partition p1 -- 2\nwith /* 3 */ table if exists t", (None, "T")),
        ("comment on table s.t is 'exchange partition with table'", None),
        ("alter table s.t add c number", None),
    ],
)
def test_the_other_table_of_an_exchange_is_named(text: str, table: tuple[str | None, str] | None) -> None:
    """The DDL row names the partitioned table only, and the other one's rows change as well."""
    assert exchanged_table(text) == table


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("alter table t drop /* old */ partition p", "rows of a partition"),
        ("alter table t truncate -- all\n subpartition p", "rows of a partition"),
        ("alter table t drop partitions p1, p2", "rows of a partition"),
        ("alter table t move partition p including rows where a > 1", "rows that INCLUDING ROWS left out"),
        ("alter table t move\nincluding /**/ rows where a > 1 online", "rows that INCLUDING ROWS left out"),
        (
            "alter table t split partition p at (3) including rows where a > 1",
            "rows that INCLUDING ROWS left out",
        ),
        ("alter table t rename /* so */ to t2", "the table"),
        ("alter table t move partition p online", None),
        ("alter table t merge partitions p, q into partition p", None),
        ("alter table t add c varchar2(40) default 'drop partition p'", None),
        ("alter table t add c varchar2(40) default q'[it's rename to]'", None),
        ('alter table "drop partition" add c number -- rename to', None),
        ("alter table t rename column a to b", None),
    ],
)
def test_an_alter_tells_which_rows_it_took(text: str, lost: str | None) -> None:
    """No row of the log does; comments may stand anywhere, and words in quotes mean nothing."""
    assert rows_lost_by_alter(text) == lost


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("alter table t drop primary key", True),
        ("alter table t drop primary key cascade keep index", True),
        ("ALTER TABLE T DISABLE PRIMARY KEY", True),
        ("alter table t disable validate primary key", True),
        ("alter table t enable novalidate primary key", True),
        ("alter table t modify primary key disable", True),
        ("alter table t drop constraint pk cascade", True),
        ('alter table t drop constraint "PK"', True),
        ("alter table t disable constraint pk", True),
        ("alter table t modify constraint pk disable novalidate", True),
        ("alter table t drop constraint if exists pk online", True),
        ("alter table t disable novalidate constraint pk", True),
        ("alter table t drop constraint ck drop constraint pk", True),
        ("alter table t enable validate primary key", False),
        ("alter table t add primary key (id)", False),
        ("alter table t drop constraint ck", False),
        ("alter table t drop column pk", False),
        ("alter table t disable constraint pk2", False),
        ("alter table t add constraint pk primary key (id) disable", False),
        ("alter table t enable primary key", False),
        ("alter table t rename constraint pk to pk2", False),
        ("alter table t add (c varchar2(40) default 'drop primary key')", False),
        ("alter table t /* drop primary key */ add (d date)", False),
        ("alter table t disable all triggers", False),
        ('alter table t drop constraint "pk"', False),
        ("alter table t enable row movement", False),
    ],
)
def test_an_alter_tells_whether_it_takes_the_key(text: str, taken: bool) -> None:
    """By name or by words; what else is dropped or disabled does not matter."""
    assert takes_key(text, "PK") is taken


def test_words_in_comments_and_quotes_name_no_partitions() -> None:
    """Such DDL concerns no object number that was not explained."""
    assert is_of_partitions("alter table t split /* */ subpartition p at (3)")
    assert not is_of_partitions("alter table t add \"partition\" number default 'partition' -- partition")


@pytest.mark.parametrize(
    ("text", "added", "taken"),
    [
        ("alter table t add c number", ["C"], []),
        (
            """alter table t add ("c,d" number(8,2), e char default 'a,(', constraint x check (e > 1))""",
            ["c,d", "E"],
            [],
        ),
        ("alter table t add c number add (d date, e date)", ["C", "D", "E"], []),
        ("alter table t add if not exists c number", ["C"], []),
        ("alter table t add constraint c primary key (a) drop column b", [], ["B"]),
        ("alter table t drop (a, /* b, */ c) cascade constraints", [], ["A", "C"]),
        ("alter table t set unused column a", [], ["A"]),
        ("alter table t set /**/ unused (a, b) online", [], ["A", "B"]),
        ("alter table t rename column a to b", [], ["A"]),
        ("alter table t drop primary key", [], []),
        ("alter table t add supplemental log data (all) columns", [], []),
        ("alter table t ilm add policy row store compress advanced row after 3 days", [], []),
        ("alter table t modify (c annotations (add display 'x'))", [], []),
        ("alter table t drop partition p", [], []),
    ],
)
def test_an_alter_names_its_columns(text: str, added: list[str], taken: list[str]) -> None:
    """As their author typed them: lists, comments, quotes, several clauses."""
    found = altered_columns(text)
    assert (list(found.added), list(found.taken)) == (added, taken)


def test_early_years_keep_four_digits() -> None:
    """The year 999 is a year of four digits, in the zone of the row and in UTC."""
    assert decode("TIMESTAMP(6) WITH TIME ZONE", "6dc7020101010100000000143c") == (
        "0999-02-01 00:00:00.000000000 +00:00"
    )
    assert timestamp_tz_text("0999-02-01 01:00:00. +01:00") == "0999-02-01 00:00:00+00"


def test_a_moment_out_of_the_calendar_is_refused() -> None:
    """Year 9999 in a western zone is year 10000 in UTC: refused, no crash; bytes tell the moment in UTC."""
    with pytest.raises(RedoSyntaxError):
        timestamp_tz_text("9999-12-31 23:00:00. -05:00")
    found = decode("TIMESTAMP(6) WITH TIME ZONE", "c7c70c1f183c3c000000001e3c")
    assert found == "9999-12-31 23:59:59.000000000 +00:00"
