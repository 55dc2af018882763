"""The store, its SQL, dictionary and redo journal."""
