"""sedi-dagster: a closed-loop factory for instruction-tuning data.

This package holds what the loop does. Data flows one way through its folders:
seed_pool, teacher, generation, filtering, batching, training, evaluation, feedback, lineage, reporting.
Those do not know Dagster; only `orchestration/` and `definitions.py` do. The asset graph itself is in
the top-level package `assets`, which imports this one and never the other way round.
"""

__version__ = "0.1.0"
