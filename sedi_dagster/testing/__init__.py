"""The simulated teacher of the profile `rehearsal`.

Belongs here: what it writes, and its server. Does not: faults and other servers for tests (`benchmarks/testbed`).
"""
