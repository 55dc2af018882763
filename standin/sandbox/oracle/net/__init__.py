"""The Oracle Net and TTC side of the stand-in."""
