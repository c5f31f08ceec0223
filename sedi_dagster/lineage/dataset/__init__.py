"""The kept examples as a dataset that others can load: forms, splits, card, checksums, selection, upload."""

from sedi_dagster.lineage.dataset.export import export_dataset
from sedi_dagster.lineage.dataset.selection import Selection, finished_examples, select

__all__ = ["Selection", "export_dataset", "finished_examples", "select"]
