"""PostgreSQL at the edge: connections, COPY and the table of errors."""
