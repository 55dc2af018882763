"""The words of a rule set: YAML trees with locations, the model, transforms, expressions, constants.

Start at `model`; `tree` reads YAML, `transforms` lists the functions, `expressions` and `expression_tokens`
guard SQL. What sinks add is an `extension`. May use nothing of this package.
"""

__all__ = [
    "builtin",
    "constants",
    "errors",
    "expression_tokens",
    "expressions",
    "extension",
    "model",
    "outbound_types",
    "reasons",
    "transforms",
    "tree",
]
