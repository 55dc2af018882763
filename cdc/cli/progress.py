"""Progress of snapshots on a terminal; nothing where standard error is a file."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cdc.flows.progress.state import FlowState

_REFRESH_S = 0.5


@contextmanager
def progress_shown(state: FlowState) -> Iterator[None]:
    """Show a line per running snapshot while the block runs."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,} rows"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )

    def refresh() -> None:
        tasks: dict[str, TaskID] = {}
        with progress:
            while not done.wait(_REFRESH_S):
                for figures in state.all():
                    if figures.status == "snapshot":
                        task = tasks.get(figures.flow)
                        if task is None:
                            task = tasks[figures.flow] = progress.add_task("", total=None)
                        progress.update(
                            task,
                            completed=figures.rows,
                            total=figures.expected,
                            description=f"snapshot {figures.detail[:40]}",
                        )
                    elif figures.flow in tasks:
                        progress.remove_task(tasks.pop(figures.flow))

    thread = threading.Thread(target=refresh, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
