"""Verification of the loop's own records: `inputs/`, `checks/`, and `superseded/` (replaced data of finished rounds).

The records are sealed, and each lists other files: one in `inputs/` the check results of its partition, one in
`superseded/` the files that were moved there with it.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from sedi_dagster.lineage.verify.chain import Chain
from sedi_dagster.lineage.verify.finding import Verification
from sedi_dagster.lineage.verify.partitions import as_marker
from sedi_dagster.storage.rounds import IMPORTS
from sedi_dagster.storage.sealing import is_sealed
from sedi_dagster.storage.store import MARKER
from sedi_dagster.storage.superseding import FOLDER


def check_records(
    chain: Chain, paths: Collection[str], hashes: Mapping[str, str | None], report: Verification
) -> set[str]:
    """Compare every record with its seal and with the data that it describes.

    Args:
        paths: all files of the data folder.
        hashes: SHA-256 of the files.

    Returns:
        The records and the files that they list.
    """
    markers = {path for path in paths if path.startswith("assets/") and path.endswith(f"/{MARKER}")}
    known = set[str]()
    for partition in sorted(path.removeprefix("assets/").removesuffix(f"/{MARKER}") for path in markers):
        if not partition.startswith(f"{IMPORTS}/"):
            known |= _check_partition(chain, partition, paths, report)
    return known | _check_superseded(chain, paths, hashes, report)


def _check_partition(chain: Chain, partition: str, paths: Collection[str], report: Verification) -> set[str]:
    """Check the record of a partition's inputs and the results of its checks."""
    path = f"inputs/{partition}.json"
    results = {file for file in paths if file.startswith(f"checks/{partition}/") and file.endswith(".json")}
    record = _sealed_record(chain, path, paths, "it records the inputs of the partition", report)
    marker = as_marker(chain.store.read_bytes("assets", partition, MARKER))
    version = marker["data_version"] if marker else None  # an invalid marker is reported elsewhere
    if record is not None and version not in (None, record["data_version"]):
        report.changed(path, "it belongs to another version of its partition's data")
    if any(key in partition.split("/") for key in chain.open_rounds):
        return {path, *results}  # its checks may not have run yet
    for name in (record or {}).get("checks", ()):
        file = f"checks/{partition}/{name}.json"
        if file not in paths:
            report.missing(file, "the check has no result for its partition's data")
    for file in sorted(results):
        result = _sealed_record(chain, file, paths, "", report)
        if result is not None and version not in (None, result["data_version"]):
            report.changed(file, "it belongs to another version of its partition's data")
    return {path, *results}


def _check_superseded(
    chain: Chain, paths: Collection[str], hashes: Mapping[str, str | None], report: Verification
) -> set[str]:
    """Check the records of each round, which are numbered from 1 without gaps, and the files that they list."""
    known, numbers = set[str](), defaultdict[str, set[int]](set)
    for path in paths:
        top, *rest = path.split("/")
        if top == FOLDER and len(rest) > 1 and rest[1].removesuffix(".json").isdigit():
            numbers[rest[0]].add(int(rest[1].removesuffix(".json")))
    for key, present in sorted(numbers.items()):
        for number in sorted(present | set(range(1, len(present) + 1))):
            path = f"{FOLDER}/{key}/{number:04d}.json"
            known.add(path)
            record = _sealed_record(chain, path, paths, "it records what was replaced", report)
            for file, sha256 in (record or {}).get("files", {}).items():
                known.add(file)
                if hashes.get(file) is None:
                    report.missing(file, f"{path} lists it")
                elif hashes[file] != sha256:
                    report.changed(file, f"{path} has another SHA-256")
    return known


def _sealed_record(
    chain: Chain, path: str, paths: Collection[str], purpose: str, report: Verification
) -> dict[str, Any] | None:
    """The record if it exists and its seal is intact; otherwise None, and a finding is added."""
    if path not in paths:
        report.missing(path, purpose)
        return None
    content = chain.store.read_bytes(path)
    if not is_sealed(content, path):
        report.changed(path, "its seal is broken (or it was written by an earlier version)")
        return None
    return dict(json.loads(content))
