"""A folder with all that is needed to work on a running `World`: a configuration and an environment.

`ccbridge.toml` is what every verb reads, `env.sh` exports its passwords and the addresses of the servers.
Used by `python -m sandbox` and by the demo; nothing of the product is imported.
"""

from __future__ import annotations

import fcntl
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sandbox.ccb.database import APPLICATION_USER, BRIDGE_USER
from sandbox.world import World

CONFIGURATION, ENVIRONMENT = "ccbridge.toml", "env.sh"
ADMINISTRATOR = "SYSTEM"


class FolderInUse(Exception):
    """Another sandbox works in the folder."""


@contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """Make the folder and keep other sandboxes out of it; `env.sh` is there only while servers are up.

    Yields:
        the folder, absolute.

    Raises:
        FolderInUse: another process has it.
        OSError: it cannot be made or written.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(f"{folder}: another sandbox is running there") from None
        (folder / ENVIRONMENT).unlink(missing_ok=True)  # of one that was killed
        try:
            yield folder
        finally:
            (folder / ENVIRONMENT).unlink(missing_ok=True)


def configuration(world: World) -> str:
    """The configuration file: TLS everywhere, passwords from the environment.

    Raises:
        ValueError: the world runs without TLS.
    """
    if world.authority is None:
        raise ValueError("the sandbox runs without TLS: start it with tls=True")
    place = (
        f'host = "127.0.0.1"\nport = {world.postgres.port}\nsslrootcert = "{world.authority.certificate}"\n'
    )
    return (
        f'[staging]\ndatabase = "{world.staging.name}"\nuser = "{world.staging.user}"\n{place}'
        f'[systems.prepaid]\nkind = "postgres"\ndatabase = "{world.prepaid.name}"\nuser = "ccbridge"\n{place}'
        f'[systems.ccb]\nkind = "oracle"\ndsn = "{world.ccb.tls_dsn}"\nuser = "{BRIDGE_USER}"\n'
        f'poll_interval_ms = 25\nwallet = "{world.wallet}"\ntime_zone = "Africa/Douala"\n'
    )


def passwords(world: World) -> dict[str, str]:
    """The variables from which every verb takes its passwords."""
    return {
        "CCBRIDGE_STAGING__PASSWORD": world.staging.password,
        "CCBRIDGE_SYSTEMS__PREPAID__PASSWORD": world.prepaid.bridge_password,
        "CCBRIDGE_SYSTEMS__CCB__PASSWORD": world.ccb.passwords[BRIDGE_USER],
    }


def addresses(world: World) -> dict[str, str]:
    """Where the servers are: the administrators' way in, and the one of CC&B's application."""
    ccb = world.ccb
    return {
        "STAGING_URL": _url(world, world.staging.name),
        "PREPAID_URL": _url(world, world.prepaid.name),
        "CCB_DSN": ccb.dsn,
        "CCB_USER": ADMINISTRATOR,
        "CCB_PASSWORD": ccb.passwords[ADMINISTRATOR],
        "CCB_APPLICATION_USER": APPLICATION_USER,
        "CCB_APPLICATION_PASSWORD": ccb.passwords[APPLICATION_USER],
    }


def write_configuration(world: World, folder: Path) -> Path:
    """Write `ccbridge.toml` into the folder; returns its path."""
    path = folder / CONFIGURATION
    path.write_text(configuration(world), encoding="utf-8")
    return path


def write_environment(world: World, folder: Path) -> Path:
    """Write `env.sh` into the folder, whole or not at all, for its owner only; returns its path."""
    variables = {"CCBRIDGE_CONFIG": str(folder / CONFIGURATION), **passwords(world), **addresses(world)}
    path = folder / ENVIRONMENT
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(_exports(variables))
    unfinished.replace(path)
    return path


def _exports(variables: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _url(world: World, database: str) -> str:
    """Connection URL of the superuser."""
    server = world.postgres
    return f"postgresql://{quote(server.user)}:{quote(server.password)}@127.0.0.1:{server.port}/{quote(database)}"
