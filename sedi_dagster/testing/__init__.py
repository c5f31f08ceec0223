"""Simulations of what costs money or time, for tests and for rehearsing a deployment.

Belongs here: the simulated teacher. Does not: tests, and anything that a real run needs.
"""
