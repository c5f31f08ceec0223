"""Partitions: categories are static (seeds/categories.yaml), rounds are added as they are planned."""

import dagster as dg

from sedi_dagster.categories import load_categories
from sedi_dagster.settings import load_settings

ONE_BY_ONE = dg.BackfillPolicy.multi_run(max_partitions_per_run=1)
"""A run for each partition: each has its own budget, checks and attempts."""

MANY = "many_partitions"
"""Put on an `AssetIn` (metadata) to get `{partition key: Tables}` with the partitions that are there."""

ROUNDS = dg.DynamicPartitionsDefinition(name="rounds")


_SETTINGS = load_settings()
_CATEGORIES = dg.StaticPartitionsDefinition(list(load_categories(_SETTINGS.path(_SETTINGS.categories))))
CATEGORY_ROUNDS = dg.MultiPartitionsDefinition({"category": _CATEGORIES, "round": ROUNDS})
"""Keys read `category|round`."""


def batch_key(category: str, round_key: str) -> dg.MultiPartitionKey:
    """The partition of `generated_batches` for a category in a round."""
    return dg.MultiPartitionKey({"category": category, "round": round_key})


def partition_path(key: object) -> tuple[str, ...]:
    """Folders of a partition: round first, so that a round lies together."""
    if key is None:
        return ()
    if "|" in str(key):
        category, round_key = str(key).split("|")
        return round_key, category
    return (str(key),)
