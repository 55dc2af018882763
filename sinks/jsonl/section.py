"""The section of a system that is a directory of files."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cdc.config.sections import ConfiguredPath, SystemSection


class JsonlSystem(SystemSection):
    """A directory that gets desired rows as lines of JSON."""

    kind: Literal["jsonl"] = Field(description="what the system is")
    directory: ConfiguredPath = Field(description="directory of the files, of this system alone")
    rotate_bytes: int = Field(
        default=0, ge=0, description="a file that has grown larger is ended and the next begun; 0 for never"
    )
