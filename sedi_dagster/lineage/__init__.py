"""Provenance: the manifest of a round, and the trace of an example.

Belongs here: reading and joining the records of the other packages. Does not: writing those records.
"""
