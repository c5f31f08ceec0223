"""What `benchmarks/closed_loop.py` is made of: arms, loops, measurements, statistics, and the page of results.

Belongs here: whatever compares whole loops. Does not: anything that the product itself needs, or a special case of an
arm: an arm is settings and nothing else.
"""
