"""A synthetic CC&B on the Oracle stand-in."""
