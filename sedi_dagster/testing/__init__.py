"""Stand-ins for what costs money or time, good enough to rehearse a deployment and to test with.

Belongs here: the simulated teacher. Does not: tests, and anything that a real run needs.
"""
