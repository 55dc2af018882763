"""The pgoutput protocol: messages, tuples and transactions, without a connection.

Start at `messages`; `transactions` orders them, `cells` and `canonical` turn values into canonical text.
May use: the vocabulary only.
"""

__all__ = ["canonical", "messages", "transactions", "tuples"]
