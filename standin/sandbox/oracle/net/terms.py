"""What the two sides agreed on, and what this server announces.

Every conditional field of a message follows `Terms`. The defaults announce Oracle 19c, which every
known client accepts; the other settings exist so that the newer dialect is tested too.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = "19.3.0.0.0"
MAX_DATA = 32767


@dataclass(frozen=True)
class Dialect:
    """What the server announces.

    Attributes:
        field_version: layout of the TTC messages: 8 = 12.2, 12 = 19c, 16 = 21c, 24 = 23ai.
        tns_version: version of the packet layer; 319 is needed for `end_of_response`.
        end_of_response: mark the end of each response, as 23ai does.
        fast_authentication: let the client send the whole handshake in one message.
        long_strings: strings up to 32767 bytes instead of 4000.
        max_sdu: largest packet size to agree on, in bytes.
    """

    field_version: int = 12
    tns_version: int = 318
    end_of_response: bool = False
    fast_authentication: bool = False
    long_strings: bool = True
    max_sdu: int = 65535


@dataclass
class Terms:
    """What was agreed on one connection.

    Attributes:
        field_version: the lower one of both sides.
        end_of_response: responses end with a message of their own.
        inner_lengths: texts in requests have a length byte of their own (all clients but JDBC).
        wide_scale: the scale of a column or bind is a variable length integer (JDBC, Go).
        long_limit: binds with a larger buffer come behind the others of their row.
    """

    field_version: int = 12
    end_of_response: bool = False
    inner_lengths: bool = True
    wide_scale: bool = False
    long_limit: int = MAX_DATA

    @property
    def version_number(self) -> int:
        """VERSION as the client expects it packed."""
        major, b, c, d, e = (int(part) for part in VERSION.split("."))
        if self.field_version >= 11:
            return major << 24 | b << 16 | c << 12 | d << 4 | e
        return major << 24 | b << 20 | c << 12 | d << 8 | e
