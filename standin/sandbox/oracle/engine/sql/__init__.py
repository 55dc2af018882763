"""SQL text to a syntax tree, and nothing else: no name is looked up, no value is computed.

`read_statement` is the way in: `tokens` cuts the text, `syntax` has what comes out, the `read_` modules
beside it read one part of the language each. Uses cells and the interface only.
"""

__all__ = ["read_statement", "script", "syntax", "tokens", "trees"]
