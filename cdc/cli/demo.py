"""`ccbridge demo`: the main job on a sandbox, from an empty machine to a comparison of both sides.

Everything real but Oracle: PostgreSQL from a wheel, the product's own commands as processes of
their own, traffic on both sides at once. Read next: `cdc.cli.demo_product`, `sandbox.world`.
"""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from cdc.errors import ConfigurationError, ExitCode, OperatorError

if TYPE_CHECKING:
    from cdc.cli.demo_product import Product
    from cdc.cli.demo_screen import Screen
    from sandbox.workload.crowd import Crowd
    from sandbox.world import World

_LOOK_S = 0.5
_DRAIN_S = 120.0
_SNAPSHOT_S = 600.0


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
) -> None:
    """Run the main job on a sandbox: snapshot, traffic on both sides, then compare both sides."""
    try:
        from sandbox.workload.crowd import Crowd
        from sandbox.workload.verify import compare
        from sandbox.world import World
    except ImportError as exc:
        raise ConfigurationError(
            [f"the sandbox is not installed: no module {exc.name}"], hint="pip install 'ccbridge[sandbox]'"
        ) from exc
    from cdc.cli.demo_product import Product
    from cdc.cli.demo_screen import Screen

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with TemporaryDirectory(prefix="ccbridge-demo-") as folder, Screen() as screen:
        screen.say("starting PostgreSQL, the Oracle stand-in and a synthetic CC&B")
        with World(persons=persons, seed=seed, tls=True) as world:
            product = Product(world, Path(folder))
            screen.say(f"CC&B holds {sum(world.loaded.values()):,} rows; migrating staging")
            product.call("migrate")
            with product.running():
                screen.watch(product.staging)
                screen.say("reading the first snapshot")
                _wait_for_snapshots(screen, product, stop)
                crowd = Crowd(world.ccb, world.prepaid, seed=seed)
                with crowd:
                    _work(screen, product, crowd, seconds, stop)
                    screen.say("people went home; waiting until everything is delivered and posted")
                    crowd.rest()
                    _drain(screen, product, world)
            differences = compare(world.ccb, world.prepaid)
    screen.close()
    for line in str(differences).splitlines()[1:]:
        typer.echo(line)
    word = "ok" if not len(differences) else "failed"
    typer.echo(f"demo {word}: {str(differences).splitlines()[0]}")
    raise typer.Exit(ExitCode.DIFFERENCES if len(differences) else ExitCode.DONE)


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
    deadline = time.monotonic() + _DRAIN_S
    while quiet < 3 and time.monotonic() < deadline:
        product.require_alive()
        screen.refresh()
        quiet = quiet + 1 if product.settled(world.prepaid.conninfo()) else 0
        time.sleep(_LOOK_S)


def _wait_for_snapshots(screen: Screen, product: Product, stop: threading.Event) -> None:
    deadline = time.monotonic() + _SNAPSHOT_S
    from cdc.cli.demo_screen import Stage

    while screen.stage() is not Stage.REPLICATING:
        product.require_alive()
        screen.refresh()
        if stop.wait(_LOOK_S):
            raise KeyboardInterrupt
        if time.monotonic() > deadline:
            raise OperatorError(f"demo: the first snapshot did not end in {_SNAPSHOT_S:.0f} s")
