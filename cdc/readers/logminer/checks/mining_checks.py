"""May the user run LogMiner? It is tried: right after right, until a row of the redo comes.

EXECUTE on the package lets ADD_LOGFILE compile; LOGMINING is asked for by START_LOGMNR and by
V$LOGMNR_CONTENTS.

Source: Oracle Database Utilities 19c, "LogMiner requirements"; Database Reference 19c, V$LOGMNR_CONTENTS;
Security Guide 19c, LOGMINING; Error Messages 19c: ORA-01284, ORA-01291, ORA-65040.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cdc.config import OracleSystem
from cdc.ports import Finding
from cdc.positions import Scn
from cdc.readers.logminer.checks.grants import mining_rights
from cdc.readers.logminer.mining.containers import Container
from cdc.readers.logminer.mining.probe import NOT_VISIBLE, Probe

NOT_COMPILED, WRONG_CONTAINER = 6550, 65040
NO_LOGMINER = NOT_VISIBLE | {NOT_COMPILED}
MISSING = frozenset((1284, 1291, 1292))
"""What START_LOGMNR fails with where it finds the logs itself and one is gone."""

NO_FILE = "begin dbms_logmnr.add_logfile(logfilename => 'none', options => dbms_logmnr.new); end;"
HELD = """
select count(*) from session_privs where privilege in ('LOGMINING', 'SELECT ANY TRANSACTION')"""
CURRENT = """
select min(f.member), min(l.first_change#) from v$log l join v$logfile f on f.group# = l.group#
where l.status = 'CURRENT' and l.thread# = (select min(thread#) from v$log where status = 'CURRENT')"""
ADD = "begin dbms_logmnr.add_logfile(logfilename => :name, options => dbms_logmnr.new); end;"
START = (
    "begin dbms_logmnr.start_logmnr(startscn => :scn, options => dbms_logmnr.dict_from_online_catalog); end;"
)
FIRST_ROW = "select scn from v$logmnr_contents where rownum = 1"
END = "begin dbms_logmnr.end_logmnr; end;"
NOW = "select current_scn from v$database"


@dataclass(frozen=True)
class MiningChecks:
    """Questions to one session that is going to mine.

    Args:
        probe: over its connection.
        settings: whose rights are meant.
        place: the container it is in.
        rds: print statements of Amazon RDS.
    """

    probe: Probe
    settings: OracleSystem
    place: Container
    rds: bool

    def executable(self) -> Iterator[Finding]:
        """EXECUTE on the package: a file that does not exist fails harmlessly (ORA-01284, ORA-65040)."""
        code = self.probe.code(NO_FILE)
        if code in NO_LOGMINER:
            yield self._missing(f"not executable (ORA-{code:05d})")
        elif not self.probe.rows(HELD)[0][0]:
            yield self._missing("no LOGMINING")

    def starts(self) -> Iterator[Finding]:
        """Start over the current log, and fetch a row; asked when nothing else is known to be in the way."""
        code = self._try_current()
        self.probe.code(END)
        if code in NOT_VISIBLE:
            yield self._missing(f"LogMiner may not be started or queried (ORA-{code:05d})")
        elif code == WRONG_CONTAINER:
            yield Finding(
                "DBMS_LOGMNR",
                f"not allowed inside {self.place.name} (ORA-65040)",
                "a session in the root, or a release that mines inside a PDB (19.10 and later)",
                "set dsn to the service of the root and pdb to the name of this pluggable database",
            )
        elif code:
            # a cloud service allows one session for each PDB: that of `run` may be there
            yield Finding(
                "DBMS_LOGMNR",
                f"does not start (ORA-{code:05d})",
                "a LogMiner session",
                "look the number up in Oracle's error messages",
                advice=self.place.is_pdb,
            )

    def _try_current(self) -> int:
        if self.place.is_pdb:
            start = int(self.probe.rows(NOW)[0][0]) - 1
        else:
            name, start = self.probe.rows(CURRENT)[0]
            if code := self.probe.code(ADD, name=name):
                return code
        return self.probe.code(START, scn=int(start)) or self.probe.code(FIRST_ROW)

    def _missing(self, found: str) -> Finding:
        rights = mining_rights(self.settings.user, rds=self.rds, inside=self.place.is_pdb)
        return Finding("DBMS_LOGMNR", found, "execute and LOGMINING granted", "\n".join(rights))


def redo_findings(probe: Probe, start: int) -> Iterator[Finding]:
    """Does LogMiner, which finds the logs itself, find those from an SCN on?"""
    code = probe.code(START, scn=start)
    probe.code(END)
    if code in MISSING:
        yield Finding(
            "archived logs",
            f"LogMiner does not find redo from scn {start} on (ORA-{code:05d})",
            f"all from {Scn(start)} on, where reading continues",
            f"RMAN: restore archivelog from scn {start};",
        )
