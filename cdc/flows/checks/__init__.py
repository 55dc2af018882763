"""Looks at the systems without changing them: `check`, `grants`, `probe`, and what they print.

Start at `preflight`; `fix_script` prints the way out, `new_rule` makes a rule of a table. May use: `wiring`.
"""

__all__ = ["fix_script", "grants", "new_rule", "preflight", "probe"]
