"""Verification of files: each must match a manifest, its partition's marker, a table or a record, or has no origin."""

from collections.abc import Callable, Iterable

from sedi_dagster.lineage.contents import file_hashes
from sedi_dagster.lineage.manifest import SHARED_ASSETS, VECTORS
from sedi_dagster.lineage.verify.chain import Chain
from sedi_dagster.lineage.verify.finding import Verification
from sedi_dagster.lineage.verify.partitions import check_partition, files_named_in_tables
from sedi_dagster.lineage.verify.records import check_records
from sedi_dagster.storage.rounds import HISTORY, SEED_TASKS, load_history
from sedi_dagster.teacher.disk_reserve import SUFFIX

_LATER_ASSETS = ("lineage_manifest", "round_report", "sft_dataset", "morning_page")
"""Assets made with the manifest or after it; they are checked against their own markers and tables."""

_LEDGER = frozenset(f"ledger.sqlite{suffix}" for suffix in ("", "-wal", "-shm", "-journal", SUFFIX))
"""Its rows are checked one by one (`calls.py`)."""
_NOT_CHECKED = ("plots/", "work/")
"""Plots of the tables, on which nothing depends, and the files of running Ray jobs."""
_LANCE_HINT = "/_versions/latest_version_hint.json"
"""Of a Lance table, rewritten with every version: an open round's rows change it."""
_SHARED = (*(f"assets/{asset}/" for asset in SHARED_ASSETS), f"checkpoints/{SEED_TASKS}/")
"""Files made before the first round, and again when the seed file or the student changes."""


def check_files(chain: Chain, report: Verification, progress: Callable[[int], None] | None) -> None:
    """Compare all files with their records."""
    store = chain.store
    paths = {path: None for path in store.files() if path not in _LEDGER and not path.startswith(_NOT_CHECKED)}
    expected, listed_by = _expected(chain)

    def count(size: int) -> None:
        report.bytes += size
        if progress is not None:
            progress(size)

    hashes = file_hashes(store, paths | expected, count)
    report.files = len(paths)
    known = {HISTORY, *expected, *chain.hashes, *(f"plans/{key}.json" for key in chain.plans)}
    known |= _check_partitions(chain, paths, report) | check_records(chain, paths, hashes, report)
    pruned, rebuilt = _pruned(chain, hashes), _are_shared_assets_rebuilt(chain, hashes, report)
    for path, sha256 in expected.items():
        if hashes[path] == sha256 or (rebuilt and path.startswith(_SHARED)):
            continue
        if chain.open_rounds and path.endswith(_LANCE_HINT):
            continue
        if hashes[path] is not None:
            report.changed(path, f"the manifest of {listed_by[path]} has another SHA-256")
        elif path.startswith(VECTORS) and chain.open_rounds:
            report.notes.append(f"{path} is gone: compacting the stored vectors removes their old versions.")
        elif not path.startswith(tuple(f"checkpoints/{key}/" for key in pruned)):
            report.missing(path, f"the manifest of {listed_by[path]} lists it")
    for path, (sha256, partition) in files_named_in_tables(store, _folders(paths)).items():
        known.add(path)
        if hashes.get(path) is None:
            report.missing(path, f"the table of {partition} lists it")
        elif hashes[path] != sha256:
            report.changed(path, f"the table of {partition} has another SHA-256")
    if report.passed and load_history(store) != load_history(store, cached=False):
        report.changed(HISTORY, "it contradicts the plans and manifests; remove it, it will be rebuilt")
    known.update(report.names())
    for path in paths:
        if path not in known and not _is_unfinished(chain, path):
            report.no_origin(path, "no manifest, marker or table lists it")


def _expected(chain: Chain) -> tuple[dict[str, str], dict[str, str]]:
    """SHA-256 of each file according to the most recently written manifest that lists it, and that manifest's round."""
    expected: dict[str, str] = {}
    listed_by: dict[str, str] = {}
    for manifest in chain.by_time():
        expected = {path: sha256 for path, sha256 in expected.items() if not path.startswith(VECTORS)}
        expected |= manifest["data"]
        listed_by |= dict.fromkeys(manifest["data"], manifest["round"])
    return expected, listed_by


def _check_partitions(chain: Chain, paths: Iterable[str], report: Verification) -> set[str]:
    """Check the partitions that no manifest lists, and return their files."""
    folders = _folders(paths)
    for asset in ("lineage_manifest", "round_report"):
        for key in chain.rounds_with_file:
            if f"assets/{asset}/{key}" in folders:
                continue
            if asset == "round_report" and key == max(chain.rounds_with_file):
                report.notes.append(f"{key} has no report yet: it is made after the manifest.")
            else:
                report.missing(f"assets/{asset}/{key}", "the round is finished")
    files: set[str] = set()
    for folder in sorted(folders):
        if folder.split("/")[1] in _LATER_ASSETS or _is_unfinished(chain, f"{folder}/"):
            files |= set(check_partition(chain.store, folder, report))
    return files


def _folders(paths: Iterable[str]) -> set[str]:
    """The partitions: folders under `assets` that contain files."""
    return {path.rsplit("/", 1)[0] for path in paths if path.startswith("assets/") and path.count("/") > 1}


def _pruned(chain: Chain, hashes: dict[str, str | None]) -> set[str]:
    """Rounds whose whole checkpoint was pruned: it was never promoted, and is older than those that are kept."""
    pruned = set()
    newest = list(chain.manifests)[-1:]
    keep = chain.manifests[newest[0]]["settings"]["training"]["keep_checkpoints"] if newest else None
    for key, manifest in chain.manifests.items():
        files = [path for path in manifest["data"] if path.startswith(f"checkpoints/{key}/")]
        trained_later = sum(other > key for other in chain.plans)
        prunable = keep is not None and trained_later >= keep and not manifest["outcome"]["promoted"]
        if files and prunable and all(hashes[path] is None for path in files):
            pruned.add(key)
    return pruned


def _are_shared_assets_rebuilt(chain: Chain, hashes: dict[str, str | None], report: Verification) -> bool:
    """Whether the seed pool or the baselines were rebuilt as a whole since the newest manifest.

    At least one of their markers must have changed and match its files; otherwise a single file was changed.
    """
    if not chain.manifests:
        return True
    newest = chain.by_time()[-1]
    recorded = {p: s for p, s in newest["data"].items() if p.startswith("assets/") and p.startswith(_SHARED)}
    changed = [p for p, s in recorded.items() if p.endswith("_tables.json") and hashes[p] not in (s, None)]
    folders, trial = [marker.rsplit("/", 1)[0] for marker in changed], Verification()
    for folder in folders:
        check_partition(chain.store, folder, trial)
    if not folders or trial.findings:
        return False
    report.notes += [f"{folder} was rebuilt since the newest manifest." for folder in folders]
    return True


def _is_unfinished(chain: Chain, path: str) -> bool:
    """Whether a path belongs to an unfinished round, or is made before the first round and none is finished."""
    parts = path.split("/")
    if parts[0] == "lance":
        return bool(chain.open_rounds) or not chain.manifests
    if parts[0] in ("assets", "checkpoints") and path.startswith(_SHARED):
        return not chain.manifests
    names = {part.removesuffix(".json") for part in parts[1:]}
    return parts[0] in ("assets", "checkpoints", "inputs", "checks") and not names.isdisjoint(chain.open_rounds)
