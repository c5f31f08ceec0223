"""The teachers of the proof: one simulated and frozen, one recorded. See README.md.

Belongs here: what `benchmarks/closed_loop.py` measures with. Does not: anything that the product itself needs.
"""
