"""Where everything came from: the manifest of a round, and the trace of one example.

Belongs here: reading what the other packages recorded and joining it. Does not: recording it (each does its own).
"""
