"""What the loop remembers of its work (`inputs/`, `checks/`), and what was replaced in finished rounds (`superseded/`).

The records are sealed, and each accounts for other files: `inputs/` for the verdicts of its partition's checks, a
record of `superseded/` for every file that was put aside with it.
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
    chain: Chain, there: Collection[str], hashes: Mapping[str, str | None], report: Verification
) -> set[str]:
    """Compare every record with its seal and with what it speaks of. Returns the files that are accounted for."""
    markers = {path for path in there if path.startswith("assets/") and path.endswith(f"/{MARKER}")}
    known = set[str]()
    for partition in sorted(path.removeprefix("assets/").removesuffix(f"/{MARKER}") for path in markers):
        if not partition.startswith(f"{IMPORTS}/"):
            known |= _check_work(chain, partition, there, report)
    return known | _check_superseded(chain, there, hashes, report)


def _check_work(chain: Chain, partition: str, there: Collection[str], report: Verification) -> set[str]:
    """What a partition was made of, and what its checks said of it."""
    path = f"inputs/{partition}.json"
    verdicts = {file for file in there if file.startswith(f"checks/{partition}/") and file.endswith(".json")}
    record = _sealed_record(chain, path, there, "it says what the partition was made of", report)
    marker = as_marker(chain.store.read_bytes("assets", partition, MARKER))
    version = marker["data_version"] if marker else None  # of a broken one: reported elsewhere
    if record is not None and version not in (None, record["data_version"]):
        report.changed(path, "it speaks of other data than its partition has")
    if any(key in partition.split("/") for key in chain.open_rounds):
        return {path, *verdicts}  # its checks may be still to come
    for name in (record or {}).get("checks", ()):
        file = f"checks/{partition}/{name}.json"
        if file not in there:
            report.missing(file, "the check has not judged what its partition has")
    for file in sorted(verdicts):
        verdict = _sealed_record(chain, file, there, "", report)
        if verdict is not None and version not in (None, verdict["data_version"]):
            report.changed(file, "it judged other data than its partition has")
    return {path, *verdicts}


def _check_superseded(
    chain: Chain, there: Collection[str], hashes: Mapping[str, str | None], report: Verification
) -> set[str]:
    """The records of each round, numbered from 1 without a gap, and the files that each names."""
    known, numbers = set[str](), defaultdict[str, set[int]](set)
    for path in there:
        top, *rest = path.split("/")
        if top == FOLDER and len(rest) > 1 and rest[1].removesuffix(".json").isdigit():
            numbers[rest[0]].add(int(rest[1].removesuffix(".json")))
    for key, found in sorted(numbers.items()):
        for number in sorted(found | set(range(1, len(found) + 1))):
            path = f"{FOLDER}/{key}/{number:04d}.json"
            known.add(path)
            record = _sealed_record(chain, path, there, "it says what was replaced", report)
            for file, sha256 in (record or {}).get("files", {}).items():
                known.add(file)
                if hashes.get(file) is None:
                    report.missing(file, f"{path} names it")
                elif hashes[file] != sha256:
                    report.changed(file, f"{path} names another SHA-256")
    return known


def _sealed_record(
    chain: Chain, path: str, there: Collection[str], what: str, report: Verification
) -> dict[str, Any] | None:
    """The record if it is as it was written; otherwise None, and a finding is added."""
    if path not in there:
        report.missing(path, what)
        return None
    content = chain.store.read_bytes(path)
    if not is_sealed(content, path):
        report.changed(path, "its seal is broken (or it was written by an earlier version)")
        return None
    return dict(json.loads(content))
