"""The machine that runs ccbridge: a log that cannot be written, a spill directory that is gone."""

from __future__ import annotations

import fcntl
import os
import select
import time
from random import Random

from tests.reliability.bed import Bed


def log_unwritable(bed: Bed, chance: Random) -> None:
    """The log goes to a full device, then to a pipe that no one reads, while connections are cut."""
    bed.begin().kill()
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)  # full after some twenty lines
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        for what, log in (("full device", full), ("pipe that no one reads", writing)):
            process = bed.a.start_with_log(log)
            bed.carries("started")
            for _ in range(3):
                time.sleep(chance.uniform(0, 2))
                bed.a.each(lambda proxy: proxy.cut())
                bed.took(f"carries again, {what}", bed.carries("cut"))
            assert process.poll() is None
            assert bed.a.call("status").code == 0
            assert log == full or not select.select([], [writing], [], 0)[1], "the pipe is not full"
            process.kill()
            process.wait()
    finally:
        for one in (reading, writing, full):
            os.close(one)
    since = time.monotonic()
    bed.a.start()
    bed.equal("equal, start included", since)


def spill_gone(bed: Bed, chance: Random) -> None:
    """The spill directory cannot be written while a large transaction is open: CC&B waits, and continues."""
    spill = bed.folder / "spill"
    bed.a.configure(f'\nspill_directory = "{spill}"\nopen_transaction_bytes = 65536\n')
    running = bed.begin()
    aside = bed.folder / "aside"
    with bed.world.ccb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("update CISADM.CI_PREM set ADDRESS2 = 'open'")
        bed.carries("open")
        spill.rename(aside)
        spill.write_bytes(b"")  # whatever is written below it now fails
        for _ in range(10):
            cursor.execute("update CISADM.CI_PREM set ADDRESS2 = ADDRESS2 || 'x'")
        said = ""

        def reported() -> bool:
            nonlocal said
            status = bed.a.call("status")
            said = status.out
            return status.code == 1 and str(spill) in status.out

        bed.eventually(reported, "status to name the directory", hint=lambda: said)
        name = f"Prepaid,{time.time_ns()}"
        bed.recharge(name)
        staged = "select count(*) from staging.recharge where recharge_id = %s"
        bed.eventually(lambda: bed.staging(staged, name) == [(1,)], "prepaid to be read on")
        time.sleep(chance.uniform(0, 2))
        connection.commit()
    spill.unlink()
    aside.rename(spill)
    since = time.monotonic()
    bed.took("carries again", bed.carries("again"))
    bed.equal("equal", since)
    assert running.process.poll() is None, running.text()[-3000:]
