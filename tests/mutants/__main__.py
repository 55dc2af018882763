"""`python -m tests.mutants`: break each guard in a copy of the tree and see that its tests fail.

    python -m tests.mutants --jobs 2             all of them
    python -m tests.mutants --only "mark"        those whose name holds the text
    python -m tests.mutants --list               names and reasons

The named tests, as `make test` runs them (without slow ones), must pass before anything is broken; with a
guard broken one of them must fail at an assertion or with an error that the product raised. A test that
cannot be loaded or set up does not count.
Exit code: 0 all were noticed, 1 a broken guard was not noticed, 2 the list or the tests are not in order.
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.guard import Guard, Stale
from tests.mutants.guards import GUARDS
from tests.support.checkout import ROOT, copy_checkout

TEST_TIMEOUT_S = 120
_FAILED = re.compile(r"^FAILED (?P<test>.+?)(?: - (?P<reason>.*))?$", re.MULTILINE)
_NOT_BY_A_GUARD = ("ImportError", "ModuleNotFoundError", "SyntaxError", "NameError", "IndentationError")


@dataclass(frozen=True)
class Outcome:
    """What its tests said of a broken guard; `noticed` is None if they could not be run."""

    guard: Guard
    noticed: bool | None
    text: str
    elapsed_s: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit code."""
    options = _options(arguments)
    guards = [guard for guard in GUARDS if options.only.lower() in guard.name.lower()]
    if options.list:
        for guard in guards:
            print(f"{guard.name}: {guard.why}")
        return 0
    if not guards:
        print(f"no guard is named like {options.only!r}")
        return 2
    with tempfile.TemporaryDirectory(prefix="ccbridge-mutants-") as folder:
        trees = [copy_checkout(Path(folder) / f"tree{number}") for number in range(options.jobs)]
        try:
            for guard in guards:
                guard.broken((ROOT / guard.file).read_text(encoding="utf-8"))
        except (Stale, SyntaxError) as exc:
            print(exc)
            return 2
        if not options.unchecked and not _pass(trees[0], guards):
            return 2
        outcomes = list(_outcomes(guards, trees))
    return _summary(outcomes)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="guards whose name holds this text")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many at once, each in a copy")
    parser.add_argument(
        "--unchecked", action="store_true", help="do not run the tests on the whole tree first"
    )
    parser.add_argument("--list", action="store_true", help="names and reasons only")
    return parser.parse_args(arguments)


def _pass(tree: Path, guards: Sequence[Guard]) -> bool:
    tests = sorted({test for guard in guards for test in guard.tests})
    print(f"{len(tests)} tests on the whole tree ..", flush=True)
    done = _pytest(tree, tests)
    if done.returncode != 0:
        print(done.stdout[-4000:], done.stderr[-2000:], sep="\n")
        print("the tests do not pass as it is; nothing can be said of broken guards")
    return done.returncode == 0


def _outcomes(guards: Sequence[Guard], trees: Sequence[Path]) -> Iterator[Outcome]:
    """Break the guards, each tree one at a time."""
    left: queue.SimpleQueue[Guard] = queue.SimpleQueue()
    done: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    for guard in guards:
        left.put(guard)

    def work(tree: Path) -> None:
        while not left.empty():
            try:
                guard = left.get_nowait()
            except queue.Empty:
                return
            done.put(_outcome(guard, tree))

    for tree in trees:
        threading.Thread(target=work, args=(tree,), daemon=True).start()
    for number in range(1, len(guards) + 1):
        outcome = done.get()
        said = {True: "noticed", False: "NOT NOTICED", None: "NOT RUN"}[outcome.noticed]
        line = f"[{number:2}/{len(guards)}] {outcome.guard.name}: {said} in {outcome.elapsed_s:.0f} s"
        print(line, outcome.text, flush=True)
        yield outcome


def _outcome(guard: Guard, tree: Path) -> Outcome:
    started = time.monotonic()
    with _broken(guard, tree):
        done = _pytest(tree, guard.tests)
    elapsed_s = time.monotonic() - started
    if done.returncode == 0:
        return Outcome(guard, False, "", elapsed_s)
    failed = _FAILED.search(done.stdout)
    reason = (failed["reason"] or "") if failed else ""
    if done.returncode != 1 or failed is None or reason.startswith(_NOT_BY_A_GUARD):
        tail = (done.stdout + done.stderr).strip()[-1500:]
        return Outcome(guard, None, f"(pytest ended with {done.returncode})\n{tail}", elapsed_s)
    return Outcome(guard, True, f"by {failed['test'].rpartition('::')[2]}", elapsed_s)


@contextmanager
def _broken(guard: Guard, tree: Path) -> Iterator[None]:
    text = guard.apply(tree)
    try:
        yield
    finally:
        guard.put(tree, text)


def _pytest(tree: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "--tb=short",
            "-m",
            "not slow",
            "-p",
            "no:cacheprovider",
            f"--timeout={TEST_TIMEOUT_S}",
            *tests,
        ],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def _summary(outcomes: Sequence[Outcome]) -> int:
    missed = [outcome.guard for outcome in outcomes if outcome.noticed is False]
    not_run = [outcome.guard for outcome in outcomes if outcome.noticed is None]
    noticed = len(outcomes) - len(missed) - len(not_run)
    print(f"\n{len(outcomes)} guards broken: {noticed} noticed, {len(missed)} not, {len(not_run)} not run")
    for guard in missed:
        print(f"not noticed: {guard.name} ({guard.file}): {guard.why}")
    for guard in not_run:
        print(f"not run: {guard.name} ({guard.file})")
    return 2 if not_run else 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
