"""Writers of target systems: compare and set, effectively once."""
