"""Whether a target may be written: every way in which staging and target can disagree."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from cdc.bindings import Bound, Mark, Ours, judge
from cdc.errors import CcbridgeError, StagingOlder, TargetChanged, TargetOlder, TargetRefused, TargetTaken

SERVER = {"system_identifier": "7", "database_oid": "5", "timeline": "2"}
OURS = Ours("prepaid", "staging-a", newest_seq=100, token=4)
BOUND = Bound(SERVER, writes=10, delivered_seq=90)
MARK = Mark("staging-a", staged_seq=95, fencing_token=4, writes=10)


def verdict(
    bound: Bound | None, mark: Mark | None, server: dict[str, str] = SERVER, ours: Ours = OURS
) -> type[CcbridgeError] | None:
    try:
        judge(ours, bound, server, mark)
    except TargetRefused as exc:
        return type(exc) if "run: ccbridge targets bind prepaid" in exc.hint else None
    return None


@pytest.mark.parametrize(
    ("what", "bound", "mark", "server", "expected"),
    [
        ("first use of an empty target", None, None, SERVER, None),
        ("mark of an earlier release", None, Mark(None, 95, 3, 0), SERVER, None),
        ("as it was left", BOUND, MARK, SERVER, None),
        ("the last write was not committed", BOUND, replace(MARK, writes=9), SERVER, None),
        ("mark further without a write", BOUND, replace(MARK, staged_seq=500), SERVER, None),
        ("standby promoted", BOUND, MARK, SERVER | {"timeline": "3"}, None),
        ("former primary back", BOUND, MARK, SERVER | {"timeline": "1"}, TargetChanged),
        ("another server", BOUND, MARK, SERVER | {"system_identifier": "8"}, TargetChanged),
        ("copy by template", BOUND, MARK, SERVER | {"database_oid": "6"}, TargetChanged),
        ("mark dropped", BOUND, None, SERVER, TargetChanged),
        ("identity cannot be read", BOUND, MARK, {}, TargetChanged),
        ("two stagings", BOUND, replace(MARK, staging="staging-b"), SERVER, TargetTaken),
        ("fresh staging, target of another", None, replace(MARK, staging="staging-b"), SERVER, TargetTaken),
        ("staging from before its first write", None, MARK, SERVER, StagingOlder),
        ("mark of an earlier release, further", None, Mark(None, 101, 3, 0), SERVER, StagingOlder),
        ("staging restored", BOUND, replace(MARK, writes=11), SERVER, StagingOlder),
        ("staging restored, no write since", BOUND, replace(MARK, fencing_token=5), SERVER, StagingOlder),
        ("target restored", BOUND, replace(MARK, writes=8), SERVER, TargetOlder),
    ],
)
def test_a_target_is_written_only_if_both_sides_agree(
    what: str,
    bound: Bound | None,
    mark: Mark | None,
    server: dict[str, str],
    expected: type[CcbridgeError] | None,
) -> None:
    """Each refusal has a code of its own and names the command that ends it."""
    assert verdict(bound, mark, server) == expected, what


def test_no_write_that_one_side_does_not_know_passes() -> None:
    """Over all small histories: at most the write under way may be missing, and only in the target."""
    for begun, committed, held, given in product(range(4), repeat=4):
        bound, mark = replace(BOUND, writes=begun), replace(MARK, writes=committed, fencing_token=held)
        passed = verdict(bound, mark, ours=replace(OURS, token=given)) is None
        assert passed == (0 <= begun - committed <= 1 and held <= given)
