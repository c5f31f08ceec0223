"""The human seed tasks: reading and validating `SEDI_SEEDS`.

Belongs here: assigning categories to files without any, notes on languages. Does not: the report of `sedi seeds check`,
which also applies the filters (reporting); the seed set of a round, which also contains generated examples (feedback).
"""

from __future__ import annotations

from sedi_dagster.seed_pool.loading import SEED_SCHEMA, SeedFile, read_seed_file, seed_frame

__all__ = ["SEED_SCHEMA", "SeedFile", "read_seed_file", "seed_frame"]
