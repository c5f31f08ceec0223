"""The simulated teacher of the profile `rehearsal`.

Belongs here: its templates and its server. Does not: simulated faults and other servers for tests
(`benchmarks/testbed`).
"""
