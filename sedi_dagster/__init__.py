"""sedi-dagster: instruction-tuning data, generated in a closed loop.

This package contains the logic. Data flows one way through its folders:
seed_pool, teacher, generation, filtering, batching, training, evaluation, feedback, lineage, reporting.
None of these imports Dagster; only `orchestration/` and `definitions.py` do. The asset graph itself is in the top-level
package `assets`, which imports this one and never the reverse.
"""

__version__ = "0.1.0"
