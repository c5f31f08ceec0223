"""Heavy work in a process of its own: how a job is handed over, its progress told, its results brought back.

The work itself is in the packages that do it (`training`, `evaluation`, `filtering`, `batching`).
"""
