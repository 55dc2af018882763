"""A rule set compiled: columnar programs inbound, SQL outbound.

Start at `inbound` and `outbound`; `plan` orders the expressions, `values` and `images` compute cells,
`rejections` names rows that could not be mapped. May use: `checks`, `language`.
"""

__all__ = ["inbound", "outbound", "values"]
