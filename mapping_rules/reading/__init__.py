"""Files of a rule set to the model, every error with its location.

Start at `grammar`; one module a kind of file. May use: `language`.
"""

__all__ = ["entity_files", "grammar", "inbound_files", "outbound_files", "schema", "sections"]
