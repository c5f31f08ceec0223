"""Decisions about the next round: its seeds and its categories.

Belongs here: pure decisions based on signals and scores. Does not: measuring (training, evaluation), starting runs
(orchestration).
"""
