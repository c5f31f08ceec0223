"""Writing the dataset: each format and split as Parquet and as JSON lines, with card and checksums."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from sedi_dagster.errors import StorageError
from sedi_dagster.filtering.shared_instructions import SharedInstructions
from sedi_dagster.lineage.dataset.card import dataset_card
from sedi_dagster.lineage.dataset.forms import FORMS, KEPT_COLUMNS
from sedi_dagster.lineage.dataset.selection import ALL, SHARES, Selection, in_splits
from sedi_dagster.settings import Settings
from sedi_dagster.storage.store import Store, parquet_bytes

CARD, CHECKSUMS = "README.md", "SHA256SUMS"
LLAMA_FACTORY = "dataset_info.json"
"""The file that LLaMA-Factory reads in its `dataset_dir`; it names a dataset for each format and split it can load."""


def export_dataset(
    store: Store,
    settings: Settings,
    examples: pl.DataFrame,
    target: Store,
    selection: Selection = ALL,
    forms: Sequence[str] = tuple(FORMS),
    shares: Mapping[str, float] = SHARES,
    further: Mapping[str, bytes] | None = None,
) -> dict[str, str]:
    """Write the examples to a folder or URL, removing the splits of an earlier export.

    Args:
        examples: with example_id, round, category, instruction, input, output.
        selection: how the examples were selected, for the card.
        forms: names of the formats to write.
        shares: share of each split.
        further: content of additional files, by name.

    Returns:
        The SHA-256 of each file written, by name.

    Raises:
        StorageError: the target cannot be written.
    """
    seeds = store.find_table("seeds", "seed_pool")
    tasks = () if seeds is None else seeds.select("instruction", "input").iter_rows()
    splits = in_splits(examples, shares, SharedInstructions(tasks))
    files: dict[str, bytes] = dict(further or {})
    sizes: dict[str, dict[str, int]] = {}
    for form in forms:
        for split, part in splits.items():
            rows = [FORMS[form](row) | {n: row[n] for n in KEPT_COLUMNS} for row in part.iter_rows(named=True)]
            files[f"{form}/{split}.jsonl"] = json_lines(rows)
            files[f"{form}/{split}.parquet"] = parquet_bytes(pl.DataFrame(rows, infer_schema_length=None))
            sizes.setdefault(form, {})[split] = len(files[f"{form}/{split}.parquet"])
    readable = {
        form if split == "train" else f"{form}_{split}": {"file_name": f"{form}/{split}.parquet", "formatting": form}
        for form in ("alpaca", "sharegpt")
        for split in sizes.get(form, ())
    }
    if readable:
        files[LLAMA_FACTORY] = json.dumps(readable, indent=2).encode()
    files[CARD] = dataset_card(store, settings, examples, splits, sizes, selection).encode()
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files[CHECKSUMS] = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(hashes.items())).encode()
    _write(files, target)
    return hashes | {CHECKSUMS: hashlib.sha256(files[CHECKSUMS]).hexdigest()}


def _write(files: Mapping[str, bytes], target: Store) -> None:
    try:
        for form in FORMS:  # remove what an earlier export wrote and this one does not
            for name in target.names(form):
                if f"{form}/{name}" not in files:
                    target.remove_file(form, name)
        for name, content in files.items():
            target.write_bytes(content, name)
    except OSError as error:
        problem = f"{target.root} cannot be written: {error}."
        raise StorageError(problem, "Name another folder or URL with --to.") from None


def json_lines(rows: Iterable[Mapping[str, object]]) -> bytes:
    """Return the rows as UTF-8 text with one JSON object per line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8", "replace")
