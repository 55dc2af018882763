"""An Oracle stand-in: a server that speaks Oracle Net, with a redo journal."""
