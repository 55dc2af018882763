"""The scheduler that starts CC&B's payment upload again and again."""

from __future__ import annotations

import oracledb

from sandbox.ccb.database import CcbDatabase
from sandbox.ccb.upload_batch import PaymentUpload, UploadCounts


class UploadRuns:
    """A player whose step is one run of the upload; `totals` adds up what the runs did."""

    def __init__(self, database: CcbDatabase) -> None:
        self.totals = UploadCounts()
        self._database = database
        self._connection: oracledb.Connection | None = None
        self._upload: PaymentUpload | None = None

    def open(self) -> None:
        """Connect."""
        self._connection = self._database.connect()
        self._upload = PaymentUpload(self._connection)

    def step(self) -> str:
        """Run the upload once."""
        if self._upload is None:
            raise RuntimeError("open() comes first")
        counts = self._upload.run()
        self.totals += counts
        return "posted" if counts.posted else "nothing_to_do"

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
