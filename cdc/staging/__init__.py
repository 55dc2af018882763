"""The shared staging schema: what happened, what is so, and how far we are."""
