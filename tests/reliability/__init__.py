"""Failures done to a whole installation under traffic, judged by a checker that knows the product not at all.

`python -m tests.reliability --list` names the scenarios; each is a slow test as well. What each promises, and
how long recovery took, is in docs/reliability.md. Read next: `bed`, then `scenarios`.
"""
