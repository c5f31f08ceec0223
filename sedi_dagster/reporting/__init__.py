"""Reports: one HTML page per round, an index of all rounds, plots as PNG, and the output of commands.

Belongs here: counts, wording, plots and layout of results. Does not: decisions or statistical tests; reading or writing
the data of a report (the caller passes data frames and stores the page).
"""
