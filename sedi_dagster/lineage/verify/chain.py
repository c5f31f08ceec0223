"""The chain of manifests: each holds the hash of the one before; the newest is named by the table of its partition."""

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sedi_dagster.lineage.contents import file_hashes
from sedi_dagster.lineage.manifest import SUPERSEDED, VERSION
from sedi_dagster.lineage.verify.finding import Verification
from sedi_dagster.lineage.verify.partitions import readable_table
from sedi_dagster.records import RoundPlan
from sedi_dagster.storage.sealing import is_sealed
from sedi_dagster.storage.store import Store


@dataclass(frozen=True)
class Chain:
    """The manifests that can be read, by round; the plans; and the SHA-256 of every manifest file, by path."""

    store: Store
    manifests: dict[str, dict[str, Any]]
    plans: dict[str, RoundPlan]
    hashes: dict[str, str | None]

    @property
    def open_rounds(self) -> list[str]:
        """Rounds with a plan and no manifest, nor any after it."""
        last = max(self.rounds_with_file, default="")
        return [key for key in self.plans if key > last]

    @property
    def rounds_with_file(self) -> list[str]:
        """Rounds that have a manifest, readable or not."""
        return [p.removeprefix("manifests/").removesuffix(".json") for p in self.hashes if p.count("/") == 1]

    def by_time(self) -> list[dict[str, Any]]:
        """Manifests in the order in which they were written, which may not be that of the rounds."""
        return sorted(self.manifests.values(), key=lambda manifest: str(manifest["created_at"]))


def read_chain(store: Store, report: Verification) -> Chain:
    """Read plans and manifests, and check that each manifest names the one before as it is."""
    paths = [path for path in store.files("manifests") if path.endswith(".json")]
    hashes = file_hashes(store, paths)
    manifests = {}
    for path in paths:
        if path.count("/") == 1 and (manifest := _read(store, path, report)) is not None:
            manifests[path.removeprefix("manifests/").removesuffix(".json")] = manifest
    chain = Chain(store, manifests, _plans(store, report), hashes)
    report.rounds = len(manifests)
    superseded = {sha256 for path, sha256 in hashes.items() if f"/{SUPERSEDED}/" in path}
    for key, manifest in manifests.items():
        _check_link(chain, key, manifest, superseded, report)
        # The table `manifest` of the partition holds the hash of the manifest that was written with it.
        recorded = readable_table(store, "manifest", "lineage_manifest", key)
        path = f"manifests/{key}.json"
        if recorded is not None and recorded["sha256"][0] != hashes[path]:
            report.changed(path, "the table of its partition (lineage_manifest) names another SHA-256")
    for path in hashes:
        _check_superseded(chain, path, report)
    for key in chain.open_rounds:  # the others' plans are named by their manifests
        if not is_sealed(store.read_bytes("plans", f"{key}.json"), "plans", f"{key}.json"):
            report.changed(f"plans/{key}.json", "its seal is broken (or it was written by an earlier version)")
    if chain.rounds_with_file:
        report.head = hashes[f"manifests/{max(chain.rounds_with_file)}.json"]
    return chain


def _read(store: Store, path: str, report: Verification) -> dict[str, Any] | None:
    try:
        value = json.loads(store.read_bytes(path))
        if value["manifest_version"] < VERSION:
            report.notes.append(f"{path} was written by an earlier version: it names no files, and is not checked.")
            return None
        RoundPlan.from_json(value["plan"])
        return dict(value)
    except (ValueError, KeyError, TypeError) as error:
        report.changed(path, f"it is no manifest any more ({type(error).__name__})")
        return None


def _plans(store: Store, report: Verification) -> dict[str, RoundPlan]:
    plans = {}
    for name in store.names("plans"):
        if not (name.startswith("round-") and name.endswith(".json")):
            continue
        try:
            plan = RoundPlan.from_json(json.loads(store.read_bytes("plans", name)))
        except (ValueError, KeyError, TypeError) as error:
            report.changed(f"plans/{name}", f"it is no plan any more ({type(error).__name__})")
            continue
        if f"{plan.round}.json" != name:
            report.changed(f"plans/{name}", f"it is the plan of {plan.round}")
            continue
        plans[plan.round] = plan
    return plans


def _check_link(
    chain: Chain, key: str, manifest: dict[str, Any], superseded: set[str | None], report: Verification
) -> None:
    previous = manifest["previous"]
    if manifest["round"] != key:
        report.changed(f"manifests/{key}.json", f"it is the manifest of {manifest['round']}")
    elif previous is not None:
        path = f"manifests/{previous['round']}.json"
        now = chain.hashes.get(path)
        if now is None:
            report.missing(path, f"the manifest of {key} names it")
        elif now != previous["sha256"] and previous["sha256"] in superseded:
            report.notes.append(f"{key} was made from a state of {previous['round']} that was superseded since.")
        elif now != previous["sha256"]:
            report.changed(path, f"the manifest of {key} names it with another SHA-256")


def _check_superseded(chain: Chain, path: str, report: Verification) -> None:
    """The file of a superseded manifest is named by its hash, and by the manifest that took its place."""
    if f"/{SUPERSEDED}/" in path:
        named = path.rsplit("-", 1)[-1].removesuffix(".json")
        if not str(chain.hashes[path]).startswith(named):
            report.changed(path, "its name has another SHA-256")
            return
    with suppress(ValueError, AttributeError):  # it is not a manifest any more: reported above
        value = json.loads(chain.store.read_bytes(path))
        if sha256 := value.get("supersedes"):
            former = f"manifests/{SUPERSEDED}/{value['round']}-{sha256[:16]}.json"
            if former not in chain.hashes:
                report.missing(former, f"{path} took its place")
