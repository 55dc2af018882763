"""A software bill of materials in CycloneDX form, made from a lock file: `make sbom`.

Every locked package with its version, the digests of its files, and what needs it, as the lock notes it. Made
on demand, so that it cannot differ from the lock; the same lock gives the same file.
Source: CycloneDX 1.6 specification, JSON; package URL specification, type pypi.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PACKAGE = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s\\]+)")
_DIGEST = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_NEEDED_BY = re.compile(r"^    #(?: via)?\s+(?!via$|-)(\S+)")  # `-c`: a constraint needs nothing
_ROOT = "ccbridge"


@dataclass
class Package:
    """A line of the lock with what belongs to it."""

    name: str
    version: str
    digests: list[str] = field(default_factory=list)
    needed_by: list[str] = field(default_factory=list)

    @property
    def purl(self) -> str:
        """The package URL."""
        return f"pkg:pypi/{re.sub(r'[-_.]+', '-', self.name).lower()}@{self.version}"


def packages(lock: str) -> Iterator[Package]:
    """Packages of a lock file as `uv pip compile` writes it."""
    package: Package | None = None
    for line in lock.splitlines():
        if found := _PACKAGE.match(line):
            if package is not None:
                yield package
            package = Package(found[1], found[2])
        if package is not None:
            package.digests += _DIGEST.findall(line)
            if needed := _NEEDED_BY.match(line):
                package.needed_by.append(needed[1])
    if package is not None:
        yield package


def bill(lock: str, version: str) -> dict[str, Any]:
    """The bill of materials of a lock file; `version` is that of the product."""
    found = list(packages(lock))
    root = f"pkg:pypi/{_ROOT}@{version}"
    product = {"type": "application", "name": _ROOT, "version": version, "bom-ref": root, "purl": root}
    urls = {package.name: package.purl for package in found} | {_ROOT: root}
    needs: dict[str, list[str]] = {url: [] for url in urls.values()}
    for package in found:
        for name in package.needed_by:
            needs[urls[name]].append(package.purl)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, lock)}",
        "version": 1,
        "metadata": {"component": product},
        "components": [
            {
                "type": "library",
                "name": package.name,
                "version": package.version,
                "bom-ref": package.purl,
                "purl": package.purl,
                "hashes": [{"alg": "SHA-256", "content": digest} for digest in sorted(package.digests)],
            }
            for package in found
        ],
        "dependencies": [{"ref": url, "dependsOn": sorted(set(to))} for url, to in sorted(needs.items())],
    }


if __name__ == "__main__":
    lock_file, product_version = sys.argv[1:]
    lock_text = Path(lock_file).read_text(encoding="utf-8")
    sys.stdout.write(json.dumps(bill(lock_text, product_version), indent=2) + "\n")
