"""Asset checks on partitions. Blocking checks prevent downstream work."""

import dagster as dg
import polars as pl

from sedi_dagster.batching.diversity import collapse
from sedi_dagster.errors import SediError
from sedi_dagster.evaluation.statistics import tail_below
from sedi_dagster.lineage.contents import file_hashes
from sedi_dagster.lineage.verify import verify
from sedi_dagster.orchestration.checking import CHECKS, Checked, Finding, check
from sedi_dagster.orchestration.resources import SediResource
from sedi_dagster.orchestration.training import verified_checkpoint
from sedi_dagster.storage.superseding import disagreements
from sedi_dagster.teacher.budget import Budget

ALPHA = 0.05
"""Significance level of the test for a falling keep rate."""
LISTED = 20
"""Number of findings and notes that the result of the verification lists."""


@check("generated_batches", blocking=True)
def every_candidate_has_its_call(checked: Checked) -> Finding:
    """Each candidate has a unique id, a recorded call, and an answer, a problem or a rejection."""
    candidates, calls = checked.tables["candidates"], checked.tables["calls"]
    unknown = candidates.join(calls, left_on="instruction_key", right_on="request_key", how="anti").height
    undecided = candidates.filter(
        pl.col("output").is_null() & pl.col("problem").is_null() & pl.col("rejection_rule").is_null()
    ).height
    repeated = candidates.height - candidates["candidate_id"].n_unique()
    nothing_requested = checked.tables["result"]["stopped"].to_list() == ["nothing"]
    return Finding(
        passed=unknown == undecided == repeated == 0 and (candidates.height > 0 or nothing_requested),
        figures={
            "candidates": candidates.height,
            "unknown_call": unknown,
            "undecided": undecided,
            "repeated_id": repeated,
        },
    )


@check("filtered_batches", blocking=True)
def every_candidate_has_one_verdict(checked: Checked) -> Finding:
    """Every candidate is kept, rejected or malformed, exactly once, and every rejection names its rule."""
    verdicts, store = checked.tables["verdicts"], checked.sedi.store()
    plan = checked.sedi.plan(checked.round)
    generated = [store.read_table("candidates", "generated_batches", plan.round, c) for c in plan.category_ids]
    expected = pl.concat(generated)["candidate_id"].sort()
    unnamed = verdicts.filter((pl.col("state") != "kept") & pl.col("rule").is_null()).height
    kept = verdicts.filter(pl.col("state") == "kept")["candidate_id"].sort()
    same_examples = kept.equals(checked.tables["examples"]["example_id"].sort(), null_equal=True)
    return Finding(
        passed=verdicts["candidate_id"].sort().equals(expected) and unnamed == 0 and same_examples,
        figures={"candidates": len(expected), "verdicts": verdicts.height, "without_rule": unnamed},
    )


@check("filtered_batches", blocking=True)
def every_kept_example_is_trained_once(checked: Checked) -> Finding:
    """The composed batches contain every kept example exactly once, and no row twice."""
    batches, examples = checked.tables["batches"], checked.tables["examples"]
    machine = batches.filter(pl.col("origin") == "machine")["example_id"].sort()
    repeated = batches.height - batches["example_id"].n_unique()
    return Finding(
        passed=machine.equals(examples["example_id"].sort()) and repeated == 0,
        figures={"rows": batches.height, "kept": examples.height, "repeated": repeated},
    )


@check("filtered_batches")
def the_pool_stays_diverse(checked: Checked) -> Finding:
    """Warns if the kept examples of all rounds became less diverse for two rounds in a row (docs/batching.md)."""
    store = checked.sedi.store()
    earlier = [
        store.read_table("diversity", "filtered_batches", outcome.round)
        for outcome in checked.sedi.history().before(checked.round)
    ]
    now = checked.tables["diversity"]
    of_pool = pl.concat([*earlier, now], how="vertical").filter(
        (pl.col("scope") == "pool") & (pl.col("embedding_model") == now["embedding_model"][0])
    )
    distances, errors = (
        of_pool.filter(pl.col("measure") == name)["value"].to_list()
        for name in ("equal_size_distance", "equal_size_error")
    )
    values = list(zip(distances, errors, strict=True))
    falling = collapse(values)
    return Finding(
        passed=falling is None,
        message=falling or "Samples of equal size are as diverse as in earlier rounds.",
        figures={"rounds_measured": len(values)},
    )


@check("seed_pool", blocking=True)
def every_seed_task_is_whole(checked: Checked) -> Finding:
    """Each human seed task has a unique id, an instruction, an output and a known category."""
    seeds = checked.tables["seeds"]
    empty = seeds.filter((pl.col("instruction").str.strip_chars() == "") | (pl.col("output").str.strip_chars() == ""))
    foreign = seeds.filter(~pl.col("category").is_in(list(checked.sedi.categories()))).height
    repeated = seeds.height - seeds["seed_id"].n_unique()
    figures = {"seeds": seeds.height, "empty": empty.height, "foreign": foreign, "repeated_id": repeated}
    return Finding(seeds.height > 0 and empty.is_empty() and not foreign and not repeated, figures=figures)


@check("generated_batches")
def the_budget_held(checked: Checked) -> Finding:
    """The round used no more tokens than its plan allows; also fails if the budget cut a batch short."""
    plan, store = checked.sedi.plan(checked.round), checked.sedi.store()
    generated = [c for c in plan.category_ids if store.tables_marker("generated_batches", plan.round, c)]
    calls = pl.concat([store.read_table("calls", "generated_batches", plan.round, c) for c in generated])
    tokens = int(calls.unique("request_key").select(pl.sum("prompt_tokens") + pl.sum("completion_tokens")).item())
    cut = checked.tables["result"]["stopped"].to_list() == ["budget"]
    allowed = Budget.from_settings(checked.sedi.settings(), "", plan.max_tokens).max_tokens_per_round
    over = allowed is not None and tokens > allowed
    message = f"The budget of {plan.round} cut this batch short." if cut else ""
    return Finding(not over and not cut, message, {"tokens_of_round": tokens, "tokens_allowed": allowed or -1})


@check("filtered_batches", blocking=True)
def no_evaluation_item_is_trained_on(checked: Checked) -> Finding:
    """No training row has the prompt of an evaluation item."""
    items = {" ".join(item.prompt.split()).casefold() for item in checked.sedi.all_items()}
    prompts = checked.tables["batches"]["prompt"].to_list()
    found = [prompt for prompt in prompts if " ".join(prompt.split()).casefold() in items]
    return Finding(
        not found, f"Prompt of an evaluation item: {found[0][:200]}" if found else "", {"items_found": len(found)}
    )


@check("filtered_batches", blocking=True)
def kept_examples_are_novel(checked: Checked) -> Finding:
    """No example is kept twice, and no instruction of an earlier round is kept again.

    Within a round an instruction may have several inputs, because Self-Instruct generates several instances of a task.
    """
    kept = checked.tables["examples"]
    known = {
        text
        for done in checked.sedi.history().before(checked.round)
        for text in checked.sedi.store().read_table("examples", "filtered_batches", done.round)["instruction"]
    }
    twice = kept.height - kept.unique(["instruction", "input"]).height
    again = twice + sum(text in known for text in set(kept["instruction"]))
    return Finding(again == 0, f"Examples kept more than once: {again}." if again else "", {"kept_again": again})


@check("filtered_batches")
def the_keep_rate_does_not_fall(checked: Checked) -> Finding:
    """Warns if the keep rate is significantly below half of the average of earlier rounds."""
    earlier = [done.kept / done.candidates for done in checked.sedi.history().before(checked.round) if done.candidates]
    kept, candidates = checked.tables["examples"].height, checked.tables["verdicts"].height
    now = kept / max(1, candidates)
    usual = sum(earlier) / len(earlier) if earlier else now
    message = ""
    if keep_rate_fell(kept, candidates, usual):
        message = f"{now:.0%} of the candidates were kept, compared with {usual:.0%} in earlier rounds."
    return Finding(not message, message, {"keep_rate": now, "usual_keep_rate": usual})


@check("sft_checkpoint", blocking=True)
def losses_are_finite(checked: Checked) -> Finding:
    """Every step has a finite loss and gradient norm."""
    steps = checked.tables["steps"]
    bad = steps.filter(~(pl.col("loss").is_finite() & pl.col("grad_norm").is_finite()).fill_null(False)).height
    return Finding(steps.height > 0 and bad == 0, figures={"steps": steps.height, "not_finite": bad})


@check("sft_checkpoint", blocking=True)
def the_composed_batches_were_trained(checked: Checked) -> Finding:
    """The steps trained exactly the composed batches, in order, once per epoch."""
    batches = checked.sedi.store().read_table("batches", "filtered_batches", checked.round)
    composed = batches.group_by("batch", maintain_order=True).agg("example_id")["example_id"].to_list()
    trained = checked.tables["steps"]["example_ids"].to_list()
    wrong = [n for n, ids in enumerate(trained) if ids != composed[n % len(composed)]]
    message = f"Step {wrong[0] + 1} trained a batch that differs from the composed one." if wrong else ""
    return Finding(not wrong and bool(trained), message, {"steps": len(trained), "other_batches": len(wrong)})


@check("sft_checkpoint", blocking=True)
def the_weights_are_as_written(checked: Checked) -> Finding:
    """Every file of the checkpoint has the hash that training recorded."""
    try:
        verified_checkpoint(checked.sedi, checked.round)
    except SediError as error:
        return Finding(False, error.problem)
    return Finding(True, figures={"files": checked.tables["files"].height})


@check("seed_feedback", blocking=True)
def human_seeds_stay(checked: Checked) -> Finding:
    """Every human seed task is in the seed set, active or resting."""
    human = checked.sedi.store().read_table("seeds", "seed_pool")["seed_id"]
    lost = set(human) - set(checked.tables["seeds"]["seed_id"])
    return Finding(not lost, f"Lost: {', '.join(sorted(lost)[:5])}" if lost else "", {"lost": len(lost)})


@check("evaluation_scores")
def no_category_is_stuck(checked: Checked) -> Finding:
    """Warns if targeted rounds did not improve a category and it was given up: it needs your attention."""
    categories = checked.tables["categories"].filter(pl.col("decision") == "stuck")["category"].to_list()
    message = f"Stuck: {', '.join(categories)}. After a change, name them to try again (`sedi run --categories`)."
    return Finding(not categories, message if categories else "", {"stuck": len(categories)})


@check("evaluation_scores")
def the_checkpoint_was_promoted(checked: Checked) -> Finding:
    """Warns if the round's checkpoint was not promoted, because a category or the total score dropped."""
    promoted, reason = checked.tables["promotion"].select("promoted", "reason").row(0)
    return Finding(bool(promoted), "" if promoted else str(reason))


@check("sft_dataset", blocking=True)
def the_dataset_is_what_the_rounds_kept(checked: Checked) -> Finding:
    """The dataset has as many examples as all finished rounds kept, each with a unique id."""
    examples = checked.tables["examples"]
    kept = sum(done.kept for done in checked.sedi.history().finished)
    repeated = examples.height - examples["example_id"].n_unique()
    return Finding(examples.height == kept and not repeated, figures={"examples": examples.height, "kept": kept})


def _page_is_there(checked: Checked) -> Finding:
    """The page in the data folder is unchanged since it was written."""
    pages = dict(checked.tables["pages"].select("path", "sha256").iter_rows())
    pages.pop("reports/index.html", None)  # later rounds rewrite it
    differing = [path for path, sha256 in file_hashes(checked.sedi.store(), pages).items() if sha256 != pages[path]]
    return Finding(
        not differing, f"Changed since written: {', '.join(differing)}" if differing else "", {"pages": len(pages)}
    )


check("round_report", name="the_report_is_there")(_page_is_there)
check("morning_page", name="the_morning_page_is_there")(_page_is_there)


def _scores_are_in_range(checked: Checked) -> Finding:
    """Every evaluation item has exactly one answer, with a score between 0 and 1."""
    items = checked.tables["items"]
    bad = items.filter(~pl.col("score").is_between(0, 1).fill_null(False)).height
    repeated = items.height - items["item_id"].n_unique()
    figures = {"items": items.height, "out_of_range": bad, "repeated": repeated}
    return Finding(items.height > 0 and not bad and not repeated, figures=figures)


check("baseline_scores", blocking=True, name="baseline_scores_are_in_range")(_scores_are_in_range)
check("evaluation_scores", blocking=True, name="scores_are_in_range")(_scores_are_in_range)


@check("lineage_manifest")
def the_manifest_agrees_with_the_data(checked: Checked) -> Finding:
    """Every partition of the round has the data version recorded in the manifest.

    After part of a finished round is rebuilt, this fails until everything downstream, including the manifest, is too.
    """
    store = checked.sedi.store()
    differing = disagreements(store, store.read_json("manifests", f"{checked.round}.json"))
    return Finding(
        passed=not differing, message="; ".join(differing), figures={"partitions_that_differ": len(differing)}
    )


# Low priority: if a user materializes the manifest, this must run after the other checks, whose results it verifies.
@dg.asset_check(asset="lineage_manifest", op_tags={"dagster/priority": "-1"})
def the_data_folder_is_as_recorded(sedi: SediResource) -> dg.AssetCheckResult:
    """Every file, call and example agrees with the manifests: nothing was changed, is missing or has no origin."""
    report = verify(sedi.store(), sedi.settings().ledger_url)
    listed = [str(finding) for finding in report.findings[:LISTED]]
    return dg.AssetCheckResult(
        passed=report.passed,
        description="; ".join(listed) or "Everything is unchanged since it was written.",
        metadata={
            "findings": len(report.findings),
            "found": dg.MetadataValue.json(listed),
            "notes": dg.MetadataValue.json(report.notes[:LISTED]),
            "files": report.files,
            "calls": report.calls,
            "head": report.head or "no round is finished yet",
        },
    )


CHECKS.append(the_data_folder_is_as_recorded)


def keep_rate_fell(kept: int, candidates: int, usual: float) -> bool:
    """Return whether the keep rate is below half of the usual one, and significantly so (one-sided exact test)."""
    return kept < candidates * usual / 2 and tail_below(kept, candidates, usual) < ALPHA
