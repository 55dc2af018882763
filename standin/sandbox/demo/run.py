"""The main job on a sandbox, from an empty machine to a comparison of both sides.

Everything real but Oracle: PostgreSQL from a wheel, the product's own commands as processes of
their own, traffic on both sides at once.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import typer

from cdc.errors import ConfigurationError, OperatorError
from sandbox.demo.product import Product
from sandbox.demo.screen import Screen, Stage
from sandbox.installation import FolderInUse, claimed, write_environment
from sandbox.workload.crowd import Crowd
from sandbox.workload.verify import Differences, compare
from sandbox.world import World

_LOOK_S = 0.5
_DRAIN_S = 120.0
_SNAPSHOT_S = 600.0
_VENDING = b"select exists (select from account where may_vend and active)"


def run(*, seconds: int, persons: int, seed: int, keep: Path | None) -> bool:
    """Snapshot, traffic on both sides, comparison; tells what it does and found.

    Args:
        seconds: how long the traffic runs; 0: until SIGINT, SIGTERM or SIGHUP.
        persons: how many CC&B begins with.
        seed: the same one makes the same data.
        keep: folder for configuration, environment and logs; the servers then stay up until a signal.

    Returns:
        True if both sides hold the same.

    Raises:
        ConfigurationError: another demo uses the folder, or it cannot be written.
        OperatorError: a command of the product ended, or the snapshot took too long.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with _folder(keep) as folder, Screen() as screen:
        screen.say("starting PostgreSQL, the Oracle stand-in and a synthetic CC&B")
        with World(folder / "servers" if keep else None, persons=persons, seed=seed, tls=True) as world:
            product = Product(world, folder)
            rows = sum(world.loaded.values())
            screen.say(f"CC&B holds {rows:,} rows; migrating staging")
            product.call("migrate")
            with product.running():
                screen.watch(product.staging)
                screen.say(f"reading the first snapshot, about {rows:,} rows")
                _wait_for_snapshots(screen, product, world, stop)
                if keep:
                    screen.say(f"for another terminal: . {write_environment(world, folder)}")
                crowd = Crowd(world.ccb, world.prepaid, seed=seed)
                with crowd:
                    _work(screen, product, crowd, seconds, stop)
                    screen.say("traffic stopped; waiting until everything is delivered and posted")
                    crowd.rest()
                    _drain(screen, product, world)
                    differences = compare(world.ccb, world.prepaid)
                    screen.close()
                    _tell(differences)
                    if keep:
                        _stay(product, crowd, folder, stop)
    return not len(differences)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """The folder to keep, which no other demo may use meanwhile; or a temporary one."""
    if keep is None:
        with TemporaryDirectory(prefix="ccbridge-demo-") as temporary:
            yield Path(temporary)
        return
    try:
        with claimed(keep) as folder:
            yield folder
    except FolderInUse as exc:
        raise ConfigurationError([str(exc)], hint="give another folder, or end that one first") from exc
    except (FileExistsError, NotADirectoryError, PermissionError) as exc:
        raise ConfigurationError(
            [f"{keep}: {exc.strerror}"], hint="give a folder that can be written"
        ) from exc


def _tell(differences: Differences) -> None:
    lines = str(differences).splitlines()
    for line in lines[1:]:
        typer.echo(line)
    if not differences.recharges:
        typer.echo("no recharge was made: let the traffic run longer")
    typer.echo(f"demo {'failed' if len(differences) else 'ok'}: {lines[0]}")


def _stay(product: Product, crowd: Crowd, folder: Path, stop: threading.Event) -> None:
    """Leave all as it is until Ctrl-C; the payment upload of CC&B continues."""
    if not stop.is_set():
        typer.echo(f"servers and ccbridge run stay up until Ctrl-C, see {folder}", err=True)
    while not stop.wait(_LOOK_S):
        product.require_alive()
        if crowd.failed:
            return  # leaving the crowd raises why


def _work(screen: Screen, product: Product, crowd: Crowd, seconds: int, stop: threading.Event) -> None:
    until = f"for {seconds} s" if seconds else "until Ctrl-C"
    screen.say(f"traffic on both sides {until}")
    deadline = time.monotonic() + seconds
    while not stop.is_set() and (not seconds or time.monotonic() < deadline) and not crowd.failed:
        product.require_alive()
        screen.refresh(crowd)
        stop.wait(_LOOK_S)


def _drain(screen: Screen, product: Product, world: World) -> None:
    """Wait until nothing is on its way any more, three looks in a row."""
    quiet = 0
    prepaid = world.prepaid.conninfo()
    deadline = time.monotonic() + _DRAIN_S
    while quiet < 3 and time.monotonic() < deadline:
        product.require_alive()
        screen.refresh(waits=product.on_the_way(prepaid))
        quiet = quiet + 1 if product.settled(prepaid) else 0
        time.sleep(_LOOK_S)


def _wait_for_snapshots(screen: Screen, product: Product, world: World, stop: threading.Event) -> None:
    """Return when both sources are read and prepaid has accounts that can recharge."""
    deadline = time.monotonic() + _SNAPSHOT_S
    with psycopg.connect(world.prepaid.conninfo(), autocommit=True) as prepaid:
        while screen.stage() is not Stage.REPLICATING or prepaid.execute(_VENDING).fetchone() != (True,):
            product.require_alive()
            screen.refresh()
            if stop.wait(_LOOK_S):
                raise KeyboardInterrupt
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"demo: the first snapshot was not delivered in {_SNAPSHOT_S:.0f} s",
                    hint="give fewer --persons, or check run.log of the folder given with --keep",
                )
