"""The data folder: tables, JSON, files and checkpoints by path or URL; plans and outcomes; what replaced what.

What a table means is the business of its package; here is how it is kept whole.
"""
