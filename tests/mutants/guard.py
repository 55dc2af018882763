"""What a broken guard is: a place in the product, what stands there, and what is put in its place."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path


class Stale(ValueError):
    """A guard's text is not in its file exactly once: the list must follow the code."""


@dataclass(frozen=True)
class Guard:
    """One guard and how it is broken.

    Args:
        name: what is guarded, in a few words.
        file: the module, from the top of the tree.
        old: text of the guard; it must be in the file exactly once.
        new: what breaks it.
        why: what would go wrong without it.
        tests: those that must fail, as pytest is given them.
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]

    def broken(self, text: str) -> str:
        """The file's text with the guard broken.

        Raises:
            Stale: the guard's text is not there exactly once.
            SyntaxError: the result is not Python.
        """
        count = text.count(self.old)
        if count != 1:
            raise Stale(f"{self.name}: expected the text once in {self.file}, found it {count} times")
        result = text.replace(self.old, self.new)
        if self.file.endswith(".py"):
            ast.parse(result, self.file)
        return result

    def apply(self, tree: Path) -> str:
        """Break it in a copy of the tree; returns the former text of the file."""
        text = (tree / self.file).read_text(encoding="utf-8")
        self.put(tree, self.broken(text))
        return text

    def put(self, tree: Path, text: str) -> None:
        """Write the file and forget what was compiled of it: a time in seconds may not tell it is older."""
        path = tree / self.file
        path.write_text(text, encoding="utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()
