"""One verdict for every candidate: kept, rejected by a named rule, or malformed.

Belongs here: rules on text, novelty, decontamination. Does not: calling a teacher, composing batches.
"""
