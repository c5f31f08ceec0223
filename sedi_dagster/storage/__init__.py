"""The data folder: tables, JSON, files and checkpoints by path or URL; plans and outcomes; superseded data.

Belongs here: reading and writing data safely. Does not: what a table means, which is up to the package that writes it.
"""
