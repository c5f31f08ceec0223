"""`verify` holds the data folder against the manifests, and names what was changed, is missing or has no origin."""

from collections.abc import Callable

from sedi_dagster.lineage.verify.calls import check_calls
from sedi_dagster.lineage.verify.chain import read_chain
from sedi_dagster.lineage.verify.files import check_files
from sedi_dagster.lineage.verify.finding import Finding, Verification
from sedi_dagster.lineage.verify.origins import check_examples, check_origins
from sedi_dagster.storage.store import Store

__all__ = ["Finding", "Verification", "verify"]


def verify(
    store: Store, ledger: str | None, head: str | None = None, progress: Callable[[int], None] | None = None
) -> Verification:
    """Recompute what the manifests, markers and tables say of the data folder.

    A round that is not finished is checked as far as its partitions have markers.

    Args:
        ledger: URL of the ledger; None: its rows are not looked at.
        head: SHA-256 (or its beginning) of a manifest, as printed by an earlier verification: it must still be there.
        progress: called with the number of bytes that were hashed.
    """
    report = Verification()
    chain = read_chain(store, report)
    if head and not any(str(sha256).startswith(head) for sha256 in chain.hashes.values()):
        report.missing("manifests", f"no manifest has the SHA-256 {head}")
    finished = set(store.names("assets", "lineage_manifest")) | set(chain.plans) - set(chain.open_rounds)
    for key in sorted(finished - set(chain.rounds_with_file)):
        report.missing(f"manifests/{key}.json", "the round was finished")
    check_files(chain, report, progress)
    if ledger is not None:
        check_calls(chain, ledger, report)
    if not any(name.startswith("lance/examples.lance") for name in report.names()):  # Lance aborts on broken files
        check_examples(chain, report)
    check_origins(chain, report)
    report.findings = list(dict.fromkeys(report.findings))
    return report
