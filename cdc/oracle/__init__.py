"""Oracle at the edge: connections and the table of errors."""
