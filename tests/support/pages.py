"""Code of the manual's pages, as modules that can be imported."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

BLOCK = re.compile(r"^```python\n# (\S+?)(?:, [^\n]*)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def code_of(page: Path) -> dict[str, str]:
    """The Python blocks of a page, by the file that their first line names."""
    return dict(BLOCK.findall(page.read_text(encoding="utf-8")))


@contextmanager
def importable(page: Path, package: str, names: Sequence[str]) -> Iterator[dict[str, types.ModuleType]]:
    """A package of a page's modules, importable under their names until the end of the block; by name.

    Args:
        page: has a block for each module.
        package: dotted name.
        names: of its modules, those first that others import.
    """
    code = code_of(page)
    sys.modules[package] = types.ModuleType(package)
    made: dict[str, types.ModuleType] = {}
    try:
        for name in names:
            made[name] = module = types.ModuleType(f"{package}.{name}")
            sys.modules[module.__name__] = module
            path = f"{package.replace('.', '/')}/{name}.py"
            exec(compile(code[path], path, "exec"), module.__dict__)  # noqa: S102 - our own page
        yield made
    finally:
        for dotted in (package, *(module.__name__ for module in made.values())):
            del sys.modules[dotted]
