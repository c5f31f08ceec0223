"""The export of kept examples as a dataset: selection, formats, splits, dataset card and checksums."""

from sedi_dagster.lineage.dataset.export import export_dataset
from sedi_dagster.lineage.dataset.selection import Selection, finished_examples, select

__all__ = ["Selection", "export_dataset", "finished_examples", "select"]
