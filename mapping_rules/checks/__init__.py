"""What is wrong in a rule set as a whole: names, types, keys across files.

May use: `reading`, `language`.
"""

__all__ = ["inbound_checks", "outbound_checks", "source_checks"]
