"""The rights that an Oracle system's user needs, as a script for its DBA.

Made from the configuration and the rule set alone: no login is needed to see it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import mapping_rules
from cdc.config import OracleSystem, Settings, stored_name
from cdc.errors import ConfigurationError
from cdc.flows import wiring
from cdc.kinds import EXTENSIONS, KINDS, resolve, resolved
from cdc.oracle.apply_log import apply_log
from cdc.oracle.connect import entering
from cdc.oracle.heartbeat import heartbeat
from cdc.readers.logminer.checks.grants import dictionary_grants, enter_grant, mining_grants, table_grants
from cdc.rule_set import load_rules
from mapping_rules import RuleSet


def grants(
    settings: Settings,
    system: str,
    *,
    user: str | None,
    pdb: str | None,
    rds: bool = False,
    inside: bool = False,
) -> Iterator[str]:
    """Lines of a SQL script, comments included: by the kind of the system.

    Args and errors are those of `oracle_grants`; so far no other kind has a script.
    """
    source = settings.systems.get(system)
    script = KINDS[source.kind].grants if source is not None else None
    if script is None:
        known = sorted(name for name, one in settings.systems.items() if KINDS[one.kind].grants)
        raise ConfigurationError(
            [f"no Oracle system {system!r} is configured, only: {', '.join(known) or 'none'}"]
        )
    yield from resolve(script)(settings, system, user=user, pdb=pdb, rds=rds, inside=inside)


def oracle_grants(
    settings: Settings, system: str, *, user: str | None, pdb: str | None, rds: bool, inside: bool
) -> Iterator[str]:
    """The script for an Oracle system.

    Args:
        settings: the configuration.
        system: an Oracle system of it.
        user: who is granted; by default the configured user.
        pdb: pluggable database of the tables; by default the configured one, if any.
        rds: grant rights on objects of SYS as Amazon RDS does.
        inside: `dsn` names a pluggable database, and LogMiner runs inside it.

    Raises:
        ConfigurationError: the options exclude each other.
        RuleErrors: the rule set cannot be used.
    """
    source = settings.system(system, OracleSystem)
    rule_set = load_rules(settings)
    user, pdb = user or source.user, _pdb(pdb) or source.pdb
    if pdb and (rds or inside):
        raise ConfigurationError(
            [f"pdb {pdb}: mining in the root is not possible " + ("on Amazon RDS" if rds else "from inside")],
            hint="leave pdb unset, let dsn name the service of the pluggable database, "
            "and run: ccbridge grants --inside-pdb",
        )
    yield f"-- rights of {user} for ccbridge system {system}; run as SYS {_where(pdb, inside=inside)}"
    captured = mapping_rules.captured_tables(rule_set, system) if system in wiring.sources(rule_set) else ()
    if captured:
        yield from mining_grants(source, user, pdb=pdb, rds=rds, inside=inside)
        if source.instances:
            yield "-- heartbeat: its row is written on an instance that is idle"
            yield heartbeat(user).ddl()
    else:
        yield f"grant create session to {user};"
    if pdb:
        yield f"{entering(pdb)};"
        yield enter_grant(user)
    if captured:
        yield f"-- captured by rule set {rule_set.name}"
        yield from dictionary_grants(user, rds=rds)
        yield from table_grants(captured, user)
    yield from _of_sinks(rule_set, system, source, user)
    log = apply_log(source)
    if log is not None:
        yield "-- apply log: marks what ccbridge writes"
        yield from replace(log, user=user).ddl()


def _where(pdb: str | None, *, inside: bool) -> str:
    if pdb:
        return f"in the root (CDB$ROOT), then in pluggable database {pdb}"
    return "in the pluggable database that dsn names" if inside else "in the database"


def _of_sinks(rule_set: RuleSet, system: str, source: OracleSystem, user: str) -> Iterator[str]:
    """What the sinks that write the system need."""
    named = {rule.sink for rule in rule_set.outbound if rule.system == system}
    for grants_of in resolved(EXTENSIONS[sink].grants for sink in sorted(named & EXTENSIONS.keys())):
        yield from grants_of(source, user)


def _pdb(written: str | None) -> str | None:
    try:
        return stored_name(written) if written else None
    except ValueError as exc:
        raise ConfigurationError([f"--pdb: {exc}"]) from exc
