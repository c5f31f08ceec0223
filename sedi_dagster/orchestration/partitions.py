"""Partitions: categories are static (seeds/categories.yaml), rounds are added as they are planned."""

from __future__ import annotations

import dagster as dg

from sedi_dagster.categories import load_categories
from sedi_dagster.settings import load_settings

ROUNDS = dg.DynamicPartitionsDefinition(name="rounds")


def category_rounds() -> dg.MultiPartitionsDefinition:
    """Category × round; keys read `category|round`."""
    settings = load_settings()
    categories = load_categories(settings.path(settings.categories))
    return dg.MultiPartitionsDefinition({"category": dg.StaticPartitionsDefinition(list(categories)), "round": ROUNDS})


CATEGORY_ROUNDS = category_rounds()


def batch_key(category: str, round_key: str) -> dg.MultiPartitionKey:
    """The partition of `generated_batches` for a category in a round."""
    return dg.MultiPartitionKey({"category": category, "round": round_key})
