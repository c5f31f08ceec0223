"""`verify` compares the data folder with the manifests and reports what was changed, is missing or has no origin."""

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
    """Recompute all hashes in the data folder and compare them with the manifests, markers and tables.

    Of an unfinished round, the partitions that are complete are checked.

    Args:
        ledger: URL of the ledger; None: its rows are not checked.
        head: SHA-256 (or a prefix) of a manifest that must still exist, as printed by an earlier verification.
        progress: called after each file with the number of bytes hashed.
    """
    report = Verification()
    chain = read_chain(store, report)
    if head and not any(str(sha256).startswith(head) for sha256 in chain.hashes.values()):
        report.missing("manifests", f"no manifest has SHA-256 {head}")
    finished = set(store.names("assets", "lineage_manifest")) | set(chain.plans) - set(chain.open_rounds)
    for key in sorted(finished - set(chain.rounds_with_file)):
        report.missing(f"manifests/{key}.json", "the round was finished")
    check_files(chain, report, progress)
    if ledger is not None:
        check_calls(chain, ledger, report)
    if not any(name.startswith("lance/examples.lance") for name in report.names()):  # Lance aborts on damaged files
        check_examples(chain, report)
    check_origins(chain, report)
    report.findings = list(dict.fromkeys(report.findings))
    return report
