"""Oracle's character set names as Python codecs."""

from __future__ import annotations

import re

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


def codec(name: str) -> str:
    """The Python codec of a database character set.

    Raises:
        LookupError: a character set without a Python codec.
    """
    known = _CODECS.get(name.upper())
    if known:
        return known
    if match := re.search(r"ISO8859P(\d+)$", name.upper()):
        return f"iso8859-{match.group(1)}"
    if match := re.search(r"MSWIN(\d+)$", name.upper()):
        return f"cp{match.group(1)}"
    if match := re.search(r"PC(\d+)$", name.upper()):
        return f"cp{match.group(1)}"
    raise LookupError(f"database character set {name} has no Python codec")
