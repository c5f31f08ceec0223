"""What the next round should be: which seeds it shows, which categories it asks for.

Belongs here: pure decisions over signals and scores. Does not: measuring (training, evaluation), starting runs
(orchestration).
"""
