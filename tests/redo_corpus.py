"""Run recorded SQL_REDO texts and internal bytes through the LogMiner parser.

`python -m tests.redo_corpus FILE.jsonl` prints one line per wrong case, then
`redo corpus: N right, M wrong`; exit code 1 if any is wrong. A line of the file is a case: either
`sql_redo` with `operation` and `expect` (values as JSON, see `as_json`) or `expect_error`, or `hex`
with `type` and `value`.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cdc.readers.logminer.ddl.statements import read_ddl
from cdc.readers.logminer.lobs.lobs import LobValue
from cdc.readers.logminer.mining.rows import carries_no_data
from cdc.readers.logminer.redo_sql.blocks import LobText, read_extended_begin, read_lob
from cdc.readers.logminer.redo_sql.charsets import codec
from cdc.readers.logminer.redo_sql.internal import decode
from cdc.readers.logminer.redo_sql.redo_values import (
    Bare,
    Bind,
    Call,
    Cell,
    Concat,
    Hex,
    Hinted,
    RedoSyntaxError,
    Unsupported,
    text_of,
)
from cdc.readers.logminer.redo_sql.statements import read_statement
from cdc.readers.logminer.redo_sql.unescaped_apostrophes import read_relaxed
from cdc.readers.logminer.redo_sql.xml import read_xml_begin, read_xml_piece

Case = Mapping[str, Any]
FILES = (Path(__file__).parent / "data" / "logminer_redo.jsonl",)

LOB_OPERATIONS = frozenset(("SELECT_LOB_LOCATOR", "LOB_WRITE", "LOB_TRIM", "LOB_ERASE", "32K_WRITE"))


def as_json(cell: Cell) -> Any:
    """A cell in the form of the recorded expectations."""
    match cell:
        case None | str():
            return cell
        case Bare():
            return {"num": cell.text}
        case Hex():
            return {"hex": cell.digits}
        case Bind():
            return {"bind": cell.name}
        case Unsupported():
            return {"unsupported": True}
        case Concat():
            return {"concat": [as_json(part) for part in cell.parts]}
        case Hinted():
            below = as_json(cell.cell)
            return {**below, "hint": cell.hint} if isinstance(below, dict) else below
        case Call():
            call: dict[str, Any] = {"fn": cell.name, "args": [as_json(argument) for argument in cell.args]}
            return {**call, "literal": True} if cell.literal else call


def outcome(case: Case) -> dict[str, Any]:
    """What the product makes of a case, in the form of `expect`.

    Raises:
        RedoSyntaxError: the text is refused.
    """
    operation, text, tags = case["operation"], case["sql_redo"], case.get("tags") or []
    expected = case.get("expect") or {}
    if carries_no_data(operation, text):
        return {"before": None, "after": None, "skip": True}
    if operation in LOB_OPERATIONS:
        return _lob(read_lob(text), case)
    if operation == "32K_BEGIN":
        return _lob(read_extended_begin(text), case)
    if operation == "XML_BEGIN":
        xml = read_xml_begin(text)
        _same_table(case, xml.owner, xml.table)
        image = {name: as_json(cell) for name, cell in xml.where.items()}
        storage = "binary" if xml.binary else "text"
        return _row(image, xml.rowid) | {"xml": {"column": xml.column, "phase": "begin", "storage": storage}}
    if operation == "XML_WRITE":
        charset = (expected.get("xml") or {}).get("charset", "AL32UTF8")
        data, length = read_xml_piece(text, charset=codec(charset))
        written = {"phase": "write", "data": data, "length": length, "charset": charset}
        return {"before": None, "after": None, "xml": written}
    if operation == "DDL":
        ddl = read_ddl(text)
        _same_table(case, ddl.owner, ddl.name)
        named = {"verb": ddl.verb, "kind": ddl.kind, "owner": ddl.owner, "name": ddl.name}
        return {"before": None, "after": None, "ddl": named}
    read = read_relaxed if {"relaxed", "stray-trailing-quote"} & set(tags) else read_statement
    statement = read(text, unquoted_tables="unquoted" in tags)
    if operation != statement.operation:
        raise RedoSyntaxError(f"{operation} row with another statement", 0)
    _same_table(case, statement.owner, statement.name)
    if case.get("columns") and operation == "INSERT" and list(statement.values) != case["columns"]:
        raise RedoSyntaxError("columns in another order", 0)
    sides = {"before": statement.before, "after": statement.after}
    if operation == "UPDATE":
        sides["set"] = statement.values
    result: dict[str, Any] = {
        side: None if cells is None else {name: as_json(cell) for name, cell in cells.items()}
        for side, cells in sides.items()
    }
    result["rowid"], result["not_null"] = statement.rowid, list(statement.not_null)
    result["decoded"] = {
        side: {name: text_of(cell) for name, cell in cells.items() if _is_coded(cell)}
        for side, cells in sides.items()
        if cells and any(_is_coded(cell) for cell in cells.values())
    }
    return result


def _same_table(case: Case, owner: str | None, name: str | None) -> None:
    """Refuse a text that was read as one of another table than the case names.

    Raises:
        RedoSyntaxError: owner or name differ.
    """
    for expected, found in ((case.get("owner"), owner), (case.get("name"), name)):
        if expected is not None and found is not None and expected != found:
            raise RedoSyntaxError(f"table {owner}.{name}", 0)


def _is_coded(cell: Cell) -> bool:
    return isinstance(cell, Concat) or (isinstance(cell, Call) and cell.name == "UNISTR")


def _row(image: dict[str, Any], rowid: str | None) -> dict[str, Any]:
    return {"before": image, "after": image, "rowid": rowid}


def _lob(lob: LobText, case: Case) -> dict[str, Any]:
    if lob.table is not None:
        _same_table(case, lob.owner, lob.table)
    image = {name: as_json(cell) for name, cell in lob.where.items()}
    expected = case.get("expect") or {}
    found: dict[str, Any] = {
        "column": lob.column,
        "binary": lob.binary,
        "kind": lob.kind,
        "trim": lob.trim,
        "writes": [
            {"offset": write.offset, "length": write.length, "data": as_json(write.data)}
            for write in lob.writes
        ],
    }
    needed = (expected.get("lob") or {}).get("apply")
    if needed:
        found["apply"] = [
            {"current": one["current"], "result": _applied(lob, one["current"], one["result"])}
            for one in needed
        ]
    if lob.column is None:
        return {"before": None, "after": None, "lob": found}
    return _row(image, lob.rowid) | {"lob": found}


def _applied(lob: LobText, current: Any, needed: Any) -> Any:
    """The value after the text's work; bytes in the form and case of what is needed."""
    digits = current["hex"] if isinstance(current, dict) else current or ""
    result = applied(digits.lower() if lob.binary else digits, lob)
    if lob.binary:
        written = needed["hex"] if isinstance(needed, dict) else needed
        result = written if result == str(written).lower() else result
    return {"hex": result} if isinstance(needed, dict) else result


def applied(current: str, lob: LobText) -> str | None:
    """The value of a LOB column, known before, after the operations of one row."""
    value = LobValue(current, binary=lob.binary)
    value.apply(lob)
    return value.value


def differences(expected: Any, found: Any, place: str = "") -> Iterator[str]:
    """Where `found` differs from what is expected; only expected keys count at the outer levels."""
    if place in ("", "/lob", "/xml", "/ddl"):
        for key, value in expected.items():
            below = (found or {}).get(key)
            if key == "skip":
                if not below:
                    yield f"{place}/{key}"
            elif key == "decoded":
                yield from _decoded_differences(value, below or {})
            elif key != "typed":
                yield from differences(value, below, f"{place}/{key}")
    elif _folded(expected) != _folded(found):
        yield f"{place}: {json.dumps(found, ensure_ascii=False)[:200]}"


def _decoded_differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for side, values in expected.items():
        for name, value in values.items():
            if (found.get(side) or {}).get(name) != (value or None):
                yield f"/decoded/{side}/{name}"


def _folded(value: Any) -> Any:
    """Function names compare in upper case."""
    if isinstance(value, dict):
        return {key: below.upper() if key == "fn" else _folded(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_folded(below) for below in value]
    return value


def _typed_differences(case: Case) -> Iterator[str]:
    expected = case["expect"]
    for name, (kind, value) in (expected.get("typed") or {}).items():
        images = (expected.get(side) or {} for side in ("after", "before"))
        hexes = [image[name]["hex"] for image in images if isinstance(image.get(name), dict)]
        if not any(same_value(kind, decode(kind, digits), value) for digits in hexes):
            yield f"/typed/{name}"


def same_value(kind: str, found: str | None, expected: str | None) -> bool:
    """Equal as values of that type: how many zeros a fraction ends with does not count."""
    if found == expected or found is None or expected is None:
        return found == expected
    if kind.startswith("BINARY_"):
        left, right = float(found), float(expected)
        return left == right or (math.isnan(left) and math.isnan(right))
    if kind.startswith(("TIMESTAMP", "INTERVAL DAY")):
        return _plain_fraction(found) == _plain_fraction(expected)
    return False


def _plain_fraction(text: str) -> str:
    text = re.sub(r"^([+-])0+(?=\d)", r"\1", text.replace("T", " "))
    return re.sub(r"\.(\d*?)0*(?=\D|$)", lambda m: f".{m[1]}" if m[1] else "", text)


def wrong(case: Case) -> list[str]:
    """What is wrong with the product's reading of a case; empty if it is right."""
    try:
        if "hex" in case:
            found = decode(case["type"], case["hex"], charset=codec(case.get("charset", "AL32UTF8")))
            right = same_value(case["type"], found, case["value"])
            return [] if right else [f"found {found!r}"]
        result = outcome(case)
    except RedoSyntaxError as exc:
        return [] if "expect_error" in case else [f"refused: {exc}"]
    if "expect_error" in case:
        return [f"accepted, expected an error: {case['expect_error']}"]
    return [*differences(case["expect"], result), *_typed_differences(case)]


def judged(case: Case) -> list[str]:
    """As `wrong`; a case that makes the parser crash is wrong too, and does not end the run."""
    try:
        return wrong(case)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the other cases count
        return [f"crashed: {type(exc).__name__}: {exc}"]


def main(arguments: list[str]) -> int:
    """Run the files named, the project's own without one; the exit code says whether all were right."""
    right = bad = 0
    for argument in arguments or FILES:
        for line in Path(argument).read_text(encoding="utf-8").splitlines():
            if not line.strip():
                continue
            case = json.loads(line)
            failures = judged(case)
            right, bad = right + (not failures), bad + bool(failures)
            if failures:
                sys.stdout.write(f"{case.get('id', '?')}: {'; '.join(failures)}\n")
    sys.stdout.write(f"redo corpus: {right} right, {bad} wrong\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
