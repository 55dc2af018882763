"""Oracle's character set names as Python codecs."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress

_CODECS = {
    "AL32UTF8": "utf-8",
    "UTF8": "utf-8",
    "AL16UTF16": "utf-16-be",
    "US7ASCII": "ascii",
    "ZHS16GBK": "gbk",
    "ZHS32GB18030": "gb18030",
    "ZHT16BIG5": "big5",
    "ZHT16MSWIN950": "cp950",
    "JA16SJIS": "shift_jis",
    "JA16SJISTILDE": "cp932",
    "JA16EUC": "euc_jp",
    "KO16KSC5601": "euc_kr",
    "KO16MSWIN949": "cp949",
    "TH8TISASCII": "tis-620",
    "CL8KOI8R": "koi8-r",
    "CL8KOI8U": "koi8-u",
}
_FAMILIES = ((r"ISO8859P(\d+)$", "iso8859-"), (r"MSWIN(\d+)$", "cp"), (r"PC(\d+)$", "cp"))

REFUSING = "undefined"
"""Python's codec that fails for every text."""


def codec(name: str) -> str:
    """The Python codec of a database character set; `REFUSING` for one that has none."""
    known = _CODECS.get(name.upper())
    if known:
        return known
    for pattern, family in _FAMILIES:
        if match := re.search(pattern, name.upper()):
            found = f"{family}{match.group(1)}"
            with suppress(LookupError):
                return codecs.lookup(found).name
    return REFUSING
