"""Reports: one HTML page per round, an index of all rounds, plots as PNG, and what the commands print.

Belongs here: counting, wording, drawing and layout of what other packages decided. Does not: decisions or tests of
its own, reading or writing data (the caller passes data frames and stores the page).
"""
