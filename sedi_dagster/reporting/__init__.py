"""A round as a person wants to see it: one HTML page a round, an index of all rounds, the same plots as PNG.

Belongs here: counting, wording, drawing and laying out what the other packages decided. Does not: any
decision or test of its own, reading or writing data (the caller hands in frames and stores the page).
"""
