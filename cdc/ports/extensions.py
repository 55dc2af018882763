"""What a sink gives to rooms that know no sink: what the functions of `cdc.kinds.EXTENSIONS` return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import oracledb

    from cdc.config import OracleSystem


class Problem(NamedTuple):
    """A problem that requires operator action: subject, text and hint."""

    subject: str
    text: str
    hint: str


@dataclass(frozen=True)
class StatusPart:
    """What `ccbridge status` shows of a sink's own tables.

    Args:
        kind: `kind` of its rows with `--format json`.
        columns: keys of the rows that are columns of the table.
        rows: one line each.
        problems: what of it requires operator action.
    """

    kind: str
    columns: Sequence[str]
    rows: list[dict[str, Any]]
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class OracleStatements:
    """What a sink sends to Oracle, for `ccbridge probe`, which has each statement parsed.

    Args:
        name: of the sink in reports, in words.
        modules: dotted names of the modules that send; their constants are found there.
        fixed: other statements that are the same in every database, with a label.
        of_site: statements made for the tables of one database, with a label; raises OperatorError where
            these cannot be seen.
    """

    name: str
    modules: tuple[str, ...]
    fixed: Callable[[], Iterable[tuple[str, str]]]
    of_site: Callable[[oracledb.Cursor, OracleSystem], Iterable[tuple[str, str]]]
