"""The demo: the product on a sandbox, watched, and both sides compared at the end.

`run` is the whole of it, `product` starts the product's commands, `screen` shows how far they are. The one
room of the sandbox that imports the product.
"""
