"""Assets as Parquet in the data folder: `assets/<asset>/<round>/<category>/<table>.parquet`."""

from typing import Any

import dagster as dg

from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.records import Tables

MANY = "many_partitions"
"""Put on an `AssetIn` (metadata) to get `{partition key: Tables}` with the partitions that are there."""


class TablesIOManager(dg.ConfigurableIOManager):
    """Writes `Tables` with their completion marker; reads them back."""

    sedi: dg.ResourceDependency[SediResource]

    def handle_output(self, context: dg.OutputContext, obj: Tables) -> None:
        key = context.partition_key if context.has_partition_key else None
        marker = self.sedi.store().write_tables(obj, context.asset_key.path[-1], *partition_path(key))
        rows = {f"rows/{name}": table["rows"] for name, table in marker["tables"].items()}
        context.add_output_metadata({**rows, "data_version": marker["data_version"]})

    def load_input(self, context: dg.InputContext) -> Tables | dict[str, Tables]:
        store = self.sedi.store()
        asset = context.asset_key.path[-1]
        if not context.has_asset_partitions:
            return store.read_tables(asset)
        if not (context.definition_metadata or {}).get(MANY):
            return store.read_tables(asset, *partition_path(context.asset_partition_key))
        there = [key for key in context.asset_partition_keys if store.tables_marker(asset, *partition_path(key))]
        return {key: store.read_tables(asset, *partition_path(key)) for key in there}


def partition_path(key: Any) -> tuple[str, ...]:
    """Folders of a partition: round first, so that a round lies together."""
    if key is None:
        return ()
    if "|" in str(key):
        category, round_key = str(key).split("|")
        return round_key, category
    return (str(key),)
