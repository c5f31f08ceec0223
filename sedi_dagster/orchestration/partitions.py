"""Partitions: categories are static (seeds/categories.yaml); rounds are dynamic, added when they are planned."""

import dagster as dg

from sedi_dagster.categories import load_categories
from sedi_dagster.settings import load_settings

ONE_BY_ONE = dg.BackfillPolicy.multi_run(max_partitions_per_run=1)
"""One run per partition, as each has its own budget, checks and attempts."""

MANY = "many_partitions"
"""Metadata key of an `AssetIn` that loads `{partition key: Tables}` with all existing partitions."""

ROUNDS = dg.DynamicPartitionsDefinition(name="rounds")

_SETTINGS = load_settings()
_CATEGORIES = dg.StaticPartitionsDefinition(list(load_categories(_SETTINGS.path(_SETTINGS.categories))))
CATEGORY_ROUNDS = dg.MultiPartitionsDefinition({"category": _CATEGORIES, "round": ROUNDS})
"""Keys have the form `category|round`."""


def batch_key(category: str, round_key: str) -> dg.MultiPartitionKey:
    """Return the partition of `generated_batches` for a category in a round."""
    return dg.MultiPartitionKey({"category": category, "round": round_key})


def partition_path(key: object) -> tuple[str, ...]:
    """Return the folders of a partition. The round comes first, so that all its categories share a folder."""
    if key is None:
        return ()
    if "|" in str(key):
        category, round_key = str(key).split("|")
        return round_key, category
    return (str(key),)
