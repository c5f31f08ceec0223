"""Heavy work in a process of its own: passing the job, reporting progress, returning the results.

Belongs here: what all workloads share. Does not: the work itself (`training`, `evaluation`, `filtering`, `batching`).
"""
