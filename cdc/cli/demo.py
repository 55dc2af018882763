"""`ccbridge demo`: the main job on a sandbox, from an empty machine to a comparison of both sides.

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
from typing import TYPE_CHECKING, Annotated

import psycopg
import typer

from cdc.errors import ConfigurationError, ExitCode, OperatorError

if TYPE_CHECKING:
    from cdc.cli.demo_product import Product
    from cdc.cli.demo_screen import Screen
    from sandbox.workload.crowd import Crowd
    from sandbox.workload.verify import Differences
    from sandbox.world import World

_LOOK_S = 0.5
_DRAIN_S = 120.0
_SNAPSHOT_S = 600.0
_VENDING = b"select exists (select from account where may_vend and active)"


def command(
    seconds: Annotated[
        int,
        typer.Option(
            help="How long the traffic runs, seconds; 0: until Ctrl-C.", envvar="DEMO_SECONDS", min=0
        ),
    ] = 0,
    persons: Annotated[
        int, typer.Option(help="Persons CC&B begins with.", envvar="DEMO_PERSONS", min=1)
    ] = 2_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same data.", envvar="DEMO_SEED")] = 2026,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Leave the servers up and run going after the comparison, until Ctrl-C; DIR gets "
            "ccbridge.toml, env.sh and the logs.",
            envvar="DEMO_KEEP",
        ),
    ] = None,
) -> None:
    """Run the main job on a sandbox and compare both sides.

    Snapshot, traffic on both sides, then the comparison; exit code 1 where they differ.
    """
    try:
        from sandbox.installation import write_environment
        from sandbox.workload.crowd import Crowd
        from sandbox.workload.verify import compare
        from sandbox.world import World
    except ImportError as exc:
        raise ConfigurationError(
            [f"the sandbox is not installed: no module {exc.name}"],
            hint="in the checkout that ccbridge was installed from, run: make demo",
        ) from exc
    from cdc.cli.demo_product import Product
    from cdc.cli.demo_screen import Screen

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
                    screen.say("people went home; waiting until everything is delivered and posted")
                    crowd.rest()
                    _drain(screen, product, world)
                    differences = compare(world.ccb, world.prepaid)
                    screen.close()
                    _tell(differences)
                    if keep:
                        _stay(product, crowd, folder, stop)
    raise typer.Exit(ExitCode.DIFFERENCES if len(differences) else ExitCode.DONE)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """The folder to keep, which no other demo may use meanwhile; or a temporary one."""
    from sandbox.installation import FolderInUse, claimed

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
    """Leave all as it is until Ctrl-C; the payment upload of CC&B goes on."""
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
    """Return when both sources are read and prepaid has accounts that can recharge: people can work then."""
    deadline = time.monotonic() + _SNAPSHOT_S
    from cdc.cli.demo_screen import Stage

    with psycopg.connect(world.prepaid.conninfo(), autocommit=True) as prepaid:
        while screen.stage() is not Stage.REPLICATING or prepaid.execute(_VENDING).fetchone() != (True,):
            product.require_alive()
            screen.refresh()
            if stop.wait(_LOOK_S):
                raise KeyboardInterrupt
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"demo: the first snapshot was not delivered in {_SNAPSHOT_S:.0f} s",
                    hint="give fewer --persons, or look into run.log of the folder given with --keep",
                )
