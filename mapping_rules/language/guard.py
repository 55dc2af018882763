"""Which tables a rule may write.

CC&B's base tables are written by CC&B alone: keys come from its framework and a payment put in by
SQL has no segments, so the balance would not move. Its documented way in are the upload staging
tables; tables of the site's own (CM_) are free.
"""

from __future__ import annotations

import re

UPLOAD_STAGING_TABLES = frozenset(
    {"CI_DEP_CTL_ST", "CI_TNDR_CTL_ST", "CI_PAY_TNDR_ST", "CI_PAY_ST", "CI_PEVT_DTL_ST"}
)
_BASE_TABLE = re.compile(r"(CI|C1|F1|SC|D1|D2|W1|XT)_", re.IGNORECASE)


def may_write(table: str) -> bool:
    """Whether a rule may write a table of that name in a CC&B database."""
    return not _BASE_TABLE.match(table) or table.upper() in UPLOAD_STAGING_TABLES
