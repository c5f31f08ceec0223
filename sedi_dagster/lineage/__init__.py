"""Provenance: the manifest of a round, and the trace of an example.

Belongs here: reading and joining what the other packages recorded. Does not: recording it (each package does).
"""
