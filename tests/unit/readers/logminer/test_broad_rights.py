"""Rights over everything are found however they come, and once each."""

from __future__ import annotations

import itertools
import random

import pytest

from cdc.readers.logminer.checks.broad_rights import BROAD, Grants, Held

RIGHTS = ("SELECT ANY TABLE", "GRANT ANY ROLE", *sorted(BROAD))


@pytest.mark.parametrize("depth", range(5))
@pytest.mark.parametrize("right", RIGHTS)
@pytest.mark.parametrize("grantee", ["CCBRIDGE", "PUBLIC"])
def test_each_right_through_each_chain(grantee: str, right: str, depth: int) -> None:
    """The name is that of the right, or of the role that has it; what was granted to us is what to revoke."""
    chain = [f"ROLE_{number}" for number in range(depth)]
    if not chain:
        grants = Grants(rights=[(grantee, right, "NO"), (grantee, "CREATE SESSION", "NO")])
        expected = Held(right, grantee, right)
    else:
        grants = Grants(
            roles=[(grantee, chain[0], "NO")],
            roles_of_roles=list(itertools.pairwise(chain)),
            rights_of_roles=[(chain[-1], right), *((role, "CREATE SESSION") for role in chain)],
        )
        expected = Held(chain[-1], grantee, chain[0], (right,))
    (held,) = grants.broad()
    assert held == expected
    ways = ([chain[0]] if depth > 1 else []) + (["PUBLIC"] if grantee == "PUBLIC" else [])
    assert held.found.endswith(f", through {' of '.join(ways)}" if ways else (")" if depth else right))
    assert held.is_allowed([held.name.lower()])
    assert held.is_allowed([right])
    assert not held.is_allowed(["CREATE SESSION"])


def test_what_a_broad_role_leads_to_is_not_reported() -> None:
    """DBA has a dozen roles: allowing it by name is enough."""
    grants = Grants(
        roles=[("U", "TEAM", "NO")],
        roles_of_roles=[("TEAM", "DBA"), ("DBA", "EXP_FULL_DATABASE"), ("TEAM", "OPS")],
        rights_of_roles=[
            *(("DBA", right) for right in RIGHTS),
            ("EXP_FULL_DATABASE", RIGHTS[0]),
            ("OPS", "ALTER SYSTEM"),
        ],
    )
    held = list(grants.broad())
    assert [(one.name, one.granted) for one in held] == [("DBA", "TEAM"), ("OPS", "TEAM")]
    assert held[0].found.startswith("role DBA (")
    assert held[0].found.endswith("..), through TEAM")
    assert not held[0].is_allowed(["SELECT ANY TABLE"])
    assert held[0].is_allowed(RIGHTS)


@pytest.mark.parametrize("seed", range(200))
def test_any_graph_of_roles(seed: int) -> None:
    """Something is found exactly if a broad right can be reached; revoking what it names is enough."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable graph
    roles = [f"R{number}" for number in range(7)]
    edges = [(a, b) for a in roles for b in roles if a < b and chance.random() < 0.3]
    rights = [(role, chance.choice(RIGHTS)) for role in roles if chance.random() < 0.3]
    granted = [(who, role, "NO") for who in ("U", "PUBLIC") for role in roles if chance.random() < 0.3]

    def reached(start: list[str]) -> set[str]:
        found = set(start)
        while more := {b for a, b in edges if a in found} - found:
            found |= more
        return found

    broad = {role for role, _ in rights}
    held = list(Grants((), granted, edges, rights).broad())
    assert {(one.grantee, one.granted) for one in held} == {
        (who, role) for who, role, _ in granted if reached([role]) & broad
    }
    left = [grant for grant in granted if grant[:2] not in {(one.grantee, one.granted) for one in held}]
    assert list(Grants((), left, edges, rights).broad()) == []


def test_a_role_is_allowed_by_rights_only_if_they_are_all_that_it_leads_to() -> None:
    """A right that is meant does not hide a worse one below the role that has it."""
    grants = Grants(
        roles=[("U", "APP", "NO")],
        roles_of_roles=[("APP", "MIDDLE"), ("MIDDLE", "DBA"), ("DBA", "APP")],
        rights_of_roles=[("APP", "SELECT ANY TABLE"), ("DBA", "ALTER SYSTEM"), ("DBA", "CREATE SESSION")],
    )
    (held,) = grants.broad()
    assert (held.name, held.rights) == ("APP", ("ALTER SYSTEM", "SELECT ANY TABLE"))
    assert not held.is_allowed(["SELECT ANY TABLE"])
    assert held.is_allowed(["SELECT ANY TABLE", "ALTER SYSTEM"])
    assert held.is_allowed(["app"])


@pytest.mark.parametrize(
    ("held", "statement"),
    [
        (Held("DBA", "U", "TEAM", ("ALTER SYSTEM",)), "revoke TEAM from C##ME;"),
        (Held("DBA", "U", "TEAM", ("ALTER SYSTEM",), True), "revoke TEAM from C##ME container = all;"),
        (Held("My Role", "PUBLIC", "My Role", ("ALTER SYSTEM",)), 'revoke "My Role" from PUBLIC;'),
        (Held("C##OPS", "U", "C##OPS", ("ALTER SYSTEM",)), "revoke C##OPS from C##ME;"),
        (
            Held("SELECT ANY TABLE", "U", "SELECT ANY TABLE", (), True),
            "revoke SELECT ANY TABLE from C##ME container = all;",
        ),
    ],
)
def test_what_takes_a_right_away(held: Held, statement: str) -> None:
    """As it was granted: everywhere or here, under the name that the role has."""
    assert held.revoke("C##ME") == statement
