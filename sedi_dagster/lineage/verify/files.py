"""Every file under the data folder: as the manifests name it, or as its own partition does, or of no origin."""

from collections.abc import Callable, Iterable

from sedi_dagster.lineage.contents import file_hashes
from sedi_dagster.lineage.manifest import SHARED_ASSETS, VECTORS
from sedi_dagster.lineage.verify.chain import Chain
from sedi_dagster.lineage.verify.finding import Verification
from sedi_dagster.lineage.verify.partitions import check_partition, files_named_in_tables
from sedi_dagster.lineage.verify.records import check_records
from sedi_dagster.storage.rounds import HISTORY, SEED_TASKS, load_history

AFTERWARDS = ("lineage_manifest", "round_report", "sft_dataset", "morning_page")
"""Assets that are made with the manifest or after it: their markers and tables answer for them."""

_LEDGER = frozenset(f"ledger.sqlite{suffix}" for suffix in ("", "-wal", "-shm", "-journal"))
"""Its rows are checked one by one (`calls`)."""
_PLOTS = "plots/"
"""Pictures of what the tables hold: nothing is built on them, and they are made with them."""
_UNDER_WAY = "work/"
"""Jobs of workloads elsewhere: rows that were sent, results that were fetched."""
_SHARED = (*(f"assets/{asset}/" for asset in SHARED_ASSETS), f"checkpoints/{SEED_TASKS}/")
"""What is made before the rounds, and again if seed file or student change."""


def check_files(chain: Chain, report: Verification, progress: Callable[[int], None] | None) -> None:
    """Compare all files with their records."""
    store = chain.store
    there = {path: None for path in store.files() if path not in _LEDGER and not path.startswith((_PLOTS, _UNDER_WAY))}
    expected, named_by = _expected(chain)

    def counted(number: int) -> None:
        report.bytes += number
        if progress is not None:
            progress(number)

    hashes = file_hashes(store, there | expected, counted)
    report.files = len(there)
    known = {HISTORY, *expected, *chain.hashes, *(f"plans/{key}.json" for key in chain.plans)}
    known |= _check_partitions(chain, there, report) | check_records(chain, there, hashes, report)
    pruned, remade = _pruned(chain, hashes), _remade(chain, hashes, report)
    for path, sha256 in expected.items():
        if hashes[path] == sha256 or (remade and path.startswith(_SHARED)):
            continue
        if hashes[path] is not None:
            report.changed(path, f"the manifest of {named_by[path]} names another SHA-256")
        elif path.startswith(VECTORS) and chain.open_rounds:
            report.notes.append(f"{path} is gone: compacting the stored vectors removes old versions of them.")
        elif not path.startswith(tuple(f"checkpoints/{key}/" for key in pruned)):
            report.missing(path, f"the manifest of {named_by[path]} names it")
    for path, (sha256, by) in files_named_in_tables(store, _folders(there)).items():
        known.add(path)
        if hashes.get(path) is None:
            report.missing(path, f"the table of {by} names it")
        elif hashes[path] != sha256:
            report.changed(path, f"the table of {by} names another SHA-256")
    if report.passed and load_history(store) != load_history(store, remembered=False):
        report.changed(HISTORY, "it says something else than plans and manifests; remove it, it is made again")
    already = set(report.names())
    for path in there:
        if path not in known and path not in already and not _is_under_way(chain, path):
            report.no_origin(path, "no manifest, marker or table names it")


def _expected(chain: Chain) -> tuple[dict[str, str], dict[str, str]]:
    """SHA-256 of each file, by the manifest that was written last of those that name it; and that manifest's round."""
    expected: dict[str, str] = {}
    named_by: dict[str, str] = {}
    for manifest in chain.by_time():
        expected = {path: sha256 for path, sha256 in expected.items() if not path.startswith(VECTORS)}
        expected |= manifest["data"]
        named_by |= dict.fromkeys(manifest["data"], manifest["round"])
    return expected, named_by


def _check_partitions(chain: Chain, there: Iterable[str], report: Verification) -> set[str]:
    """The partitions that no manifest names. Returns their files."""
    folders = _folders(there)
    for asset in ("lineage_manifest", "round_report"):
        for key in chain.rounds_with_file:
            if f"assets/{asset}/{key}" in folders:
                continue
            if asset == "round_report" and key == max(chain.rounds_with_file):
                report.notes.append(f"{key} has no report yet: it is made after the manifest.")
            else:
                report.missing(f"assets/{asset}/{key}", "the round is finished")
    own: set[str] = set()
    for folder in sorted(folders):
        if folder.split("/")[1] in AFTERWARDS or _is_under_way(chain, f"{folder}/"):
            own |= set(check_partition(chain.store, folder, report))
    return own


def _folders(there: Iterable[str]) -> set[str]:
    """The partitions: folders under `assets` with files in them."""
    return {path.rsplit("/", 1)[0] for path in there if path.startswith("assets/") and path.count("/") > 1}


def _pruned(chain: Chain, hashes: dict[str, str | None]) -> set[str]:
    """Rounds whose checkpoint is gone as a whole and may be: never promoted, and older than those that are kept."""
    pruned = set()
    newest = list(chain.manifests)[-1:]
    keep = chain.manifests[newest[0]]["settings"]["training"]["keep_checkpoints"] if newest else None
    for key, manifest in chain.manifests.items():
        mine = [path for path in manifest["data"] if path.startswith(f"checkpoints/{key}/")]
        trained_later = sum(other > key for other in chain.plans)
        may_go = keep is not None and trained_later >= keep and not manifest["outcome"]["promoted"]
        if mine and may_go and all(hashes[path] is None for path in mine):
            pruned.add(key)
    return pruned


def _remade(chain: Chain, hashes: dict[str, str | None], report: Verification) -> bool:
    """Whether seed pool or baselines are, as a whole, others than the newest manifest names: made again since.

    One changed file among them is no such thing: all their markers must be right, and one of them another.
    """
    if not chain.manifests:
        return True
    newest = chain.by_time()[-1]
    markers = {p: s for p, s in newest["data"].items() if p.startswith("assets/") and p.startswith(_SHARED)}
    others = [p for p, s in markers.items() if p.endswith("_tables.json") and hashes[p] not in (s, None)]
    folders, trial = [marker.rsplit("/", 1)[0] for marker in others], Verification()
    for folder in folders:
        check_partition(chain.store, folder, trial)
    if not folders or trial.findings:
        return False
    report.notes += [f"{folder} was made again since the newest manifest." for folder in folders]
    return True


def _is_under_way(chain: Chain, path: str) -> bool:
    """Whether a path belongs to a round that is not finished, or to what is made before the first."""
    parts = path.split("/")
    if parts[0] == "lance":
        return bool(chain.open_rounds) or not chain.manifests
    if parts[0] in ("assets", "checkpoints") and path.startswith(_SHARED):
        return not chain.manifests
    of = {part.removesuffix(".json") for part in parts[1:]}
    return parts[0] in ("assets", "checkpoints", "inputs", "checks") and not of.isdisjoint(chain.open_rounds)
