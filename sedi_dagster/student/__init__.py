"""The student: checking and loading it, its chat template, losses by row, out-of-memory errors.

Belongs here: what training, evaluation and filtering share. Does not: training (training), answering (evaluation).
"""
