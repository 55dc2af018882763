"""Bring the staging schema to this release and this rule set: `ccbridge migrate`, `ccbridge check`.

Fixed tables by Alembic revisions, then entity tables from the rule set (`cdc.staging.schema.entity_ddl`).
Both are additive and can be interrupted and run again; a schema newer than this release is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import cast

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import DuplicateTable, LockNotAvailable, UniqueViolation

from cdc.config import PostgresConnection
from cdc.errors import OperatorError, StagingRevision, TransientError
from cdc.ports import Finding
from cdc.postgres.connect import Connection, connect
from cdc.postgres.errors import postgres_errors, translated
from cdc.staging.schema import database_checks, entity_ddl, tables
from cdc.staging.schema.tables import SCHEMA
from mapping_rules import RuleSet

_FIX = "ccbridge migrate"
_LOCK_TABLE = f"""
create schema if not exists {SCHEMA};
create table {SCHEMA}.{tables.migration.name} ();
comment on table {SCHEMA}.{tables.migration.name} is '{tables.migration.comment}'
"""


@dataclass(frozen=True)
class MigrationReport:
    """What `migrate` did; empty tuples when all was in place already."""

    revision_before: str | None
    revision: str
    created: tuple[str, ...] = ()
    extended: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line for people."""
        came = "" if self.revision_before == self.revision else f", was {self.revision_before or 'empty'}"
        made = "".join(f"\ncreated {name}" for name in self.created)
        made += "".join(f"\nextended {name}" for name in self.extended)
        return f"staging at revision {self.revision}{came}{made}"


def migrate(settings: PostgresConnection, rule_set: RuleSet) -> MigrationReport:
    """Create or upgrade the staging schema; running it again changes nothing.

    Raises:
        StagingRevision: the schema is newer than this release.
        OperatorError: the database cannot write down every character, the schema or a table in it belongs to
            another role, or an entity of the rule set does not match its table (column retyped or removed,
            other key); no entity table was changed.
        TransientError: a lock was not to be had within five seconds; nothing half done remains.
    """
    script = _script()
    with _engine(settings) as engine, engine.connect() as connection:
        for finding in _of_database(connection, settings):
            if not finding.advice:
                raise OperatorError(f"{finding.subject}: found {finding.found}", hint=finding.fix)
    with _alone(settings), _engine(settings) as engine, engine.connect() as connection:
        before = _revision(connection)
        _refuse_newer(script, before, settings.database)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        additions = entity_ddl.apply(engine, connection, rule_set.entities.values())
        report = MigrationReport(before, _head(script), additions.created, additions.extended)
        if report.created or report.extended or before != report.revision:
            _record(connection, rule_set, report)
        connection.commit()
    return report


def check_revision(settings: PostgresConnection, rule_set: RuleSet) -> list[Finding]:
    """Everything in which the staging schema is not what this release and rule set need; read only."""
    subject = f"database {settings.database}"
    script = _script()
    with _engine(settings) as engine, engine.connect() as connection:
        found = _of_database(connection, settings)
        if any(not finding.advice for finding in found):
            return found
        revision = _revision(connection)
        if revision is None:
            return [*found, Finding(subject, "no staging schema", f"revision {_head(script)}", _FIX)]
        if not _known(script, revision):
            return [
                *found,
                Finding(
                    subject,
                    f"revision {revision}, unknown to this release",
                    f"revision {_head(script)}",
                    "install the release that made it, or a later one",
                ),
            ]
        if revision != _head(script):
            return [*found, Finding(subject, f"revision {revision}", f"revision {_head(script)}", _FIX)]
        compared = entity_ddl.compare(connection, rule_set.entities.values())
        findings = [Finding(subject, f"no {name}", "as the rule set says", _FIX) for name in compared.missing]
        findings += [
            Finding(subject, text, "as the rule set says", entity_ddl.HINT) for text in compared.errors
        ]
    return [*found, *findings]


def downgrade(settings: PostgresConnection, revision: str) -> None:
    """Back to an earlier revision, `base` for none; what the dropped tables held is lost."""
    with _engine(settings) as engine, engine.connect() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
        connection.commit()


@contextmanager
def _alone(settings: PostgresConnection) -> Iterator[None]:
    """Hold the lock that lets one `migrate` run at a time; a session of its own, as migrations commit.

    Raises:
        TransientError: another one is running.
    """
    subject = f"staging {settings.database}"
    with (
        postgres_errors(subject),  # around the end of the session too
        connect(settings, application="ccbridge migrate lock") as connection,
    ):
        # it does nothing while the others work, for as long as that takes
        connection.execute(
            f"set lock_timeout = '{entity_ddl.LOCK_TIMEOUT}'; set idle_in_transaction_session_timeout = 0"
        )
        try:
            if connection.execute("select to_regclass('staging.migration')").fetchone() == (None,):
                connection.execute(_LOCK_TABLE)
            connection.commit()
        except (DuplicateTable, UniqueViolation):
            connection.rollback()  # another one made it at the same time
        try:
            connection.execute("lock table staging.migration in exclusive mode")
        except LockNotAvailable as exc:
            raise TransientError(
                f"{subject}: another ccbridge migrate is running", hint="wait until it has ended"
            ) from exc
        yield


@contextmanager
def _engine(settings: PostgresConnection) -> Iterator[sa.Engine]:
    """An engine over our own kind of connection; driver errors come out as ours."""
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(settings, application="ccbridge migrate"),
        poolclass=sa.pool.NullPool,
    )
    try:
        yield engine
    except sa.exc.DBAPIError as exc:
        raise translated(exc.orig, f"staging {settings.database}") from exc  # type: ignore[arg-type]
    finally:
        engine.dispose()


def _config() -> Config:
    config = Config()
    # found by name: running code imports no migration
    config.set_main_option("script_location", str(resources.files("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _head(script: ScriptDirectory) -> str:
    head = script.get_current_head()
    if head is None:
        raise OperatorError("the migrations of this release are missing", hint="install ccbridge again")
    return head


def _revision(connection: sa.Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})
    revision = context.get_current_revision()
    connection.rollback()
    return revision


def _of_database(connection: sa.Connection, settings: PostgresConnection) -> list[Finding]:
    found = database_checks.findings(cast(Connection, connection.connection.driver_connection), settings)
    connection.rollback()
    return found


def _known(script: ScriptDirectory, revision: str) -> bool:
    return any(known.revision == revision for known in script.walk_revisions())


def _refuse_newer(script: ScriptDirectory, revision: str | None, database: str) -> None:
    if revision is not None and not _known(script, revision):
        raise StagingRevision(
            f"staging {database}: revision {revision} is unknown to this release, expected {_head(script)}",
            hint="install the release that made it, or a later one",
        )


def _record(connection: sa.Connection, rule_set: RuleSet, report: MigrationReport) -> None:
    detail = {"revision": report.revision, "created": report.created, "extended": report.extended}
    connection.execute(
        sa.text(
            "insert into staging.operator_action (who, action, object, detail) "
            "values (session_user, 'migrate', :object, cast(:detail as jsonb))"
        ),
        {"object": f"rule set {rule_set.name}", "detail": json.dumps(detail)},
    )
