"""National language settings: the formats a session begins with, the character sets of a container."""

from __future__ import annotations

from sandbox.oracle.engine.state.context import Env

VERSION = "19.0.0.0.0"
"""Version of the database; NLS_RDBMS_VERSION is one of the settings."""

NLS = {
    "NLS_LANGUAGE": "AMERICAN",
    "NLS_TERRITORY": "AMERICA",
    "NLS_CURRENCY": "$",
    "NLS_ISO_CURRENCY": "AMERICA",
    "NLS_NUMERIC_CHARACTERS": ".,",
    "NLS_CALENDAR": "GREGORIAN",
    "NLS_DATE_FORMAT": "DD-MON-RR",
    "NLS_DATE_LANGUAGE": "AMERICAN",
    "NLS_SORT": "BINARY",
    "NLS_TIME_FORMAT": "HH.MI.SSXFF AM",
    "NLS_TIMESTAMP_FORMAT": "DD-MON-RR HH.MI.SSXFF AM",
    "NLS_TIME_TZ_FORMAT": "HH.MI.SSXFF AM TZR",
    "NLS_TIMESTAMP_TZ_FORMAT": "DD-MON-RR HH.MI.SSXFF AM TZR",
    "NLS_DUAL_CURRENCY": "$",
    "NLS_COMP": "BINARY",
    "NLS_LENGTH_SEMANTICS": "CHAR",
    "NLS_NCHAR_CONV_EXCP": "FALSE",
}


def character_sets(env: Env) -> dict[str, str]:
    """Character sets of the session's container; rows are UTF-8 whatever they say."""
    return {
        "NLS_CHARACTERSET": env.session.container.character_set,
        "NLS_NCHAR_CHARACTERSET": "AL16UTF16",
    }
