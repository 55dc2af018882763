"""CC&B's side of the payment upload: its upload tables, written in one call, and where our receipts are.

Start at `upload`; `tables` is one transmission in CC&B's tables, `call` puts it there, `lookup` says what is
there already, `ouaf` has CC&B's conventions for values, `checks` is what is looked at before, `grants` the
rights, `statements` all that is sent. Knows nothing of staging. May use `cdc.oracle`.
"""

__all__ = ["upload"]
