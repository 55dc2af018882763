"""Sphinx configuration of the docs site: `make docs`. The source folder is the repository's root."""

from __future__ import annotations

from cdc import __version__

project = "ccbridge"
release = __version__
root_doc = "docs/site/contents"
include_patterns = [
    "docs/**.md",
    "docs/site/**.rst",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "requirements/README.md",
    "standin/**.md",
    "examples/**.md",
    "deploy/**.md",
]
exclude_patterns = [".venv*", "build"]
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxcontrib.mermaid",
]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
html_theme = "furo"
html_title = f"ccbridge {release}"
highlight_language = "none"
