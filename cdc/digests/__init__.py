"""What both sides of a comparison compute of a row, so that they can be compared without moving rows.

Start in `sort_key`: the key of a row as one text, ordered alike everywhere.
"""

__all__: list[str] = []
