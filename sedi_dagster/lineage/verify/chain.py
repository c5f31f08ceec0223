"""The chain of manifests: each contains the hash of the previous one; a table of its partition contains its own."""

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
    """Plans and manifests of a data folder.

    Attributes:
        manifests: the readable ones, by round.
        plans: the readable ones, by round.
        hashes: SHA-256 of every manifest file, readable or not, by path.
    """

    store: Store
    manifests: dict[str, dict[str, Any]]
    plans: dict[str, RoundPlan]
    hashes: dict[str, str | None]

    @property
    def open_rounds(self) -> list[str]:
        """Rounds that have a plan and come after the last one with a manifest."""
        last = max(self.rounds_with_file, default="")
        return [key for key in self.plans if key > last]

    @property
    def rounds_with_file(self) -> list[str]:
        """Rounds that have a manifest file, readable or not."""
        return [p.removeprefix("manifests/").removesuffix(".json") for p in self.hashes if p.count("/") == 1]

    def by_time(self) -> list[dict[str, Any]]:
        """Return the manifests in the order in which they were written, which may differ from that of the rounds."""
        return sorted(self.manifests.values(), key=lambda manifest: str(manifest["created_at"]))


def read_chain(store: Store, report: Verification) -> Chain:
    """Read plans and manifests, and check that each manifest contains the hash of the previous one."""
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
        recorded = readable_table(store, "manifest", "lineage_manifest", key)
        path = f"manifests/{key}.json"
        if recorded is not None and recorded["sha256"][0] != hashes[path]:
            report.changed(path, "the table of its partition (lineage_manifest) has another SHA-256")
    for path in hashes:
        _check_superseded(chain, path, report)
    for key in chain.open_rounds:  # plans of finished rounds are hashed in their manifests
        if not is_sealed(store.read_bytes("plans", f"{key}.json"), "plans", f"{key}.json"):
            report.changed(f"plans/{key}.json", "its seal is broken (or it was written by an earlier version)")
    if chain.rounds_with_file:
        report.head = hashes[f"manifests/{max(chain.rounds_with_file)}.json"]
    return chain


def _read(store: Store, path: str, report: Verification) -> dict[str, Any] | None:
    try:
        value = json.loads(store.read_bytes(path))
        if value["manifest_version"] < VERSION:
            report.notes.append(f"{path} was written by an earlier version that listed no files; it is not checked.")
            return None
        RoundPlan.from_json(value["plan"])
        return dict(value)
    except (ValueError, KeyError, TypeError) as error:
        report.changed(path, f"it is not a valid manifest ({type(error).__name__})")
        return None


def _plans(store: Store, report: Verification) -> dict[str, RoundPlan]:
    plans = {}
    for name in store.names("plans"):
        if not (name.startswith("round-") and name.endswith(".json")):
            continue
        try:
            plan = RoundPlan.from_json(json.loads(store.read_bytes("plans", name)))
        except (ValueError, KeyError, TypeError) as error:
            report.changed(f"plans/{name}", f"it is not a valid plan ({type(error).__name__})")
            continue
        if f"{plan.round}.json" == name:
            plans[plan.round] = plan
        else:
            report.changed(f"plans/{name}", f"it is the plan of {plan.round}")
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
            report.missing(path, f"the manifest of {key} lists it")
        elif now != previous["sha256"] and previous["sha256"] in superseded:
            report.notes.append(f"{key} was made from a state of {previous['round']} that was superseded since.")
        elif now != previous["sha256"]:
            report.changed(path, f"the manifest of {key} lists it with another SHA-256")


def _check_superseded(chain: Chain, path: str, report: Verification) -> None:
    """Check that a superseded manifest matches the hash in its name, and that the one a manifest replaced exists."""
    if f"/{SUPERSEDED}/" in path:
        recorded = path.rsplit("-", 1)[-1].removesuffix(".json")
        if not str(chain.hashes[path]).startswith(recorded):
            report.changed(path, "its name has another SHA-256")
            return
    with suppress(ValueError, AttributeError):  # an invalid manifest is reported when it is read
        value = json.loads(chain.store.read_bytes(path))
        if sha256 := value.get("supersedes"):
            replaced = f"manifests/{SUPERSEDED}/{value['round']}-{sha256[:16]}.json"
            if replaced not in chain.hashes:
                report.missing(replaced, f"{path} replaced it")
