"""How a session is opened: `handshake` agrees on terms, `login` lets the client in, `auth` has the proof.

Start at `handshake`. May use `packets`, `terms`, `wire` and `requests` beside it.
"""
