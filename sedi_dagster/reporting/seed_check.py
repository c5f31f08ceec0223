"""`sedi seeds check`: the contents of a file of seed tasks, its problems, and remarks.

A problem makes the file unusable (a broken line) or the results worthless (a task close to an evaluation item). A
remark is only worth a look: for example, the filters would reject an example like that seed.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import click
import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sedi_dagster.categories import load_categories
from sedi_dagster.datafiles import Problems
from sedi_dagster.datafiles.options import column_options
from sedi_dagster.datafiles.shapes import Columns
from sedi_dagster.datafiles.writing import write_jsonl
from sedi_dagster.evaluation.items import load_evaluation_items
from sedi_dagster.filtering.answer_rules import AnswerForm, answer_rules
from sedi_dagster.filtering.decontamination import Decontaminator
from sedi_dagster.filtering.novelty import greedy_novelty
from sedi_dagster.filtering.rules import InstructionForm, Rule, first_broken, form_rules, instance_rules
from sedi_dagster.filtering.shared_instructions import SharedInstructions
from sedi_dagster.reporting.file_problems import show_notes, show_problems
from sedi_dagster.reporting.seed_split import split
from sedi_dagster.seed_pool.languages import language_notes
from sedi_dagster.seed_pool.loading import SeedFile, read_seed_file
from sedi_dagster.settings import FilteringSettings, Settings, load_settings
from sedi_dagster.texts.cleaning import clean
from sedi_dagster.texts.control import garbled


@dataclass
class CategoryRow:
    """Counts of a category. `near_items` is the number of tasks that are too close to an evaluation item."""

    category: str
    tasks: int = 0
    with_input: int = 0
    duplicates: int = 0
    near_items: int = 0
    confidence: list[float] = field(default_factory=list)

    @property
    def median_confidence(self) -> float | None:
        return median(self.confidence) if self.confidence else None


@dataclass(frozen=True)
class SeedReport:
    """The findings on a file. `rows` are in the order of the categories, unknown ones last."""

    rows: list[CategoryRow]
    problems: Problems
    remarks: Problems
    notes: list[str]


def check_seeds(
    seeds: SeedFile, categories: Collection[str], items: Iterable[tuple[str, str]], settings: Settings
) -> SeedReport:
    """Check a file of seed tasks.

    Args:
        items: (id, prompt) of the evaluation items.
        settings: settings of the loop, whose thresholds and models are used.
    """
    counts = {category: CategoryRow(category) for category in categories}
    problems, remarks = seeds.problems, seeds.problems.empty_copy()
    filtering = settings.filtering
    threshold, ngram = filtering.decontamination_threshold, filtering.decontamination_ngram
    shared = SharedInstructions((task.instruction, task.input) for task in seeds.tasks)
    decontaminator = Decontaminator(
        [(name, shared.without_instruction(prompt)) for name, prompt in items], threshold, ngram
    )
    tasks = pl.DataFrame(
        [(task.instruction, task.input, task.output, bool(task.is_classification)) for task in seeds.tasks],
        schema={"instruction": pl.String, "input": pl.String, "output": pl.String, "is_classification": pl.Boolean},
        orient="row",
    ).with_row_index("row")
    duplicates = _near_duplicates(shared.with_compared(tasks), seeds.lines, filtering.threshold, remarks)
    compared = shared.with_compared(tasks).with_columns(input=shared.reciting_input(tasks))
    near_items = _near_items(compared, seeds.lines, decontaminator, problems)
    for name, rules in _rules(filtering):
        for number, rule in first_broken(tasks, rules).select("row", "rule").iter_rows():
            remarks.add(seeds.lines[number], name, f"violates the filter rule {rule}", "text that the filters keep")
    marked, garbled_texts = _text_remarks(tasks, seeds.lines, remarks)
    for name, text, fix in rules_that_drop_all(tasks, filtering):
        problems.add(None, name, text, fix)
    for task, line in zip(seeds.tasks, seeds.lines, strict=True):
        row = counts.setdefault(task.category, CategoryRow(task.category))
        row.tasks += 1
        row.with_input += bool(task.input)
        row.duplicates += line in duplicates
        row.near_items += line in near_items
        if task.id in seeds.confidence:
            row.confidence.append(seeds.confidence[task.id])
    no_answers = first_broken(tasks, answer_rules(AnswerForm.of(filtering)))["rule"].value_counts().sort("rule").rows()
    notes = [*seeds.notes]
    notes += [
        f"{count:,} outputs are not answers ({rule}); the filters would reject them" for rule, count in no_answers
    ]
    if marked:
        notes.append(f"{marked:,} texts contain chat-template tokens or reasoning, which would be trained on")
    if garbled_texts:
        notes.append(f"{garbled_texts:,} texts are wrongly decoded or escaped (`Ã¼`, `&amp;`): export the file again")
    notes += language_notes(tasks["instruction"].to_list(), settings)
    return SeedReport(list(counts.values()), problems, remarks, notes)


def _near_items(
    tasks: pl.DataFrame, lines: Sequence[int], decontaminator: Decontaminator, problems: Problems
) -> set[int]:
    """Lines of tasks whose instruction or input is too close to an evaluation item."""
    found: set[int] = set()
    for name in ("instruction", "input"):
        for row, rule, score, _, item_id, _ in decontaminator.near(tasks.select("row", text=name)).sort("row").rows():
            if lines[row] not in found:
                found.add(lines[row])
                overlap = f"ROUGE-L {score:.2f}" if rule == "evaluation_rouge_l" else f"{score:.0f} consecutive words"
                message = f"is too close to evaluation item {item_id} ({overlap})"
                problems.add(lines[row], name, message, "another task, or none")
    return found


def _near_duplicates(tasks: pl.DataFrame, lines: Sequence[int], threshold: float, remarks: Problems) -> set[int]:
    """Lines of tasks that are near duplicates of an earlier task, as the novelty filter would find."""
    found: set[int] = set()
    for (shared,), group in tasks.group_by("shared", maintain_order=True):
        name = "input" if shared else "instruction"
        rows = group["row"].to_list()
        verdicts = greedy_novelty(group["text"].to_list(), [], threshold)
        for row, (novel, _, earlier, score) in zip(rows, verdicts.iter_rows(), strict=True):
            if not novel:
                found.add(lines[row])
                message = f"is close to that of {remarks.place(lines[rows[earlier]])} (ROUGE-L {score:.2f})"
                remarks.add(lines[row], name, message, f"at most {threshold:g}")
    return found


_FIX = {
    "too_short": "more words, or a lower SEDI_FILTERING_MIN_WORDS",
    "too_long": "fewer words, or a higher SEDI_FILTERING_MAX_WORDS",
    "starts_with_non_ascii": "SEDI_FILTERING_MODE=sedi, whose rules work for any language",
}


def rules_that_drop_all(tasks: pl.DataFrame, filtering: FilteringSettings) -> list[tuple[str, str, str]]:
    """Find fields in which every task violates a filter rule, so that nothing generated from them would be kept.

    Args:
        tasks: frame with `row`, `instruction`, `input`, `output`, `is_classification`.

    Returns:
        (field, problem, fix) of each.
    """
    found = []
    for name, rules in _rules(filtering):
        broken = first_broken(tasks, rules)
        if tasks.height and broken.height == tasks.height:
            counted = sorted(broken["rule"].value_counts().rows(), key=lambda pair: -pair[1])
            named = ", ".join(rule if len(counted) == 1 else f"{rule} ({count})" for rule, count in counted)
            message = f"all {tasks.height} seed tasks violate the filter rule {named}: nothing would be kept"
            found.append((name, message, _FIX.get(counted[0][0], "seed tasks that the filters would keep")))
    return found


def _rules(filtering: FilteringSettings) -> tuple[tuple[str, tuple[Rule, ...]], ...]:
    return (
        ("instruction", form_rules(InstructionForm.of(filtering))),
        ("output", instance_rules()),
        ("output", answer_rules(AnswerForm.of(filtering))),
    )


def _text_remarks(tasks: pl.DataFrame, lines: Sequence[int], remarks: Problems) -> tuple[int, int]:
    """Remark on texts with parts that are removed from a teacher's answers, and on garbled texts; return both counts.

    Garbled texts have wrongly decoded characters, or HTML escapes although the task is not about HTML.
    """
    marked, garbled_texts, names = 0, 0, ("instruction", "input", "output")
    for line, *texts in zip(lines, *(tasks[name] for name in names), strict=True):
        about_markup = any(map(_MARKUP.search, texts))
        for name, text in zip(names, texts, strict=True):
            cleaned = clean(text)
            if cleaned.problem or cleaned.applied:
                marked += 1
                content = cleaned.problem or " and ".join(cleaned.applied).replace("_", " ")
                remarks.add(line, name, f"contains {content}", "only the text")
            if not about_markup and (found := garbled(text) or _ESCAPED.findall(text)):
                garbled_texts += 1
                remarks.add(line, name, f"contains {found[0]!r}", "text as it was before it was decoded or escaped")
    return marked, garbled_texts


_ESCAPED = re.compile(r"&(?:amp|lt|gt|quot|nbsp|#39|#x27);")
"""Escapes that remain in a text which was escaped for HTML."""
_MARKUP = re.compile(r"</?\w+[^<>]*>|\b(?:html|xml|entit|escape)", re.IGNORECASE)


@click.group()
def seeds() -> None:
    """Work with human seed tasks."""


seeds.add_command(split)


@seeds.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--remarks", is_flag=True, help="Also list remarks, which are worth a look but not problems.")
@click.option("--write", type=click.Path(path_type=Path), help="Write the tasks without problems to this file.")
@column_options
@click.pass_context
def check(ctx: click.Context, file: Path | None, remarks: bool, write: Path | None, columns: Columns) -> None:
    """Validate a file of seed tasks (default: SEDI_SEEDS).

    Supports JSON, CSV, Parquet and Arrow with the common field names for instruction, input and output, messages and
    conversations. The exit status is 2 if there is a problem.
    """
    settings = load_settings()
    categories = load_categories(settings.path(settings.categories))
    items = load_evaluation_items(settings.path(settings.items), categories)
    path = file or settings.path(settings.seeds)
    console = Console(soft_wrap=True)
    with console.status("Reading"):
        found = read_seed_file(path, categories, columns, settings.seed_categories)
        prompts = [(item.id, item.prompt) for item in items]
        report = check_seeds(found, categories, prompts, settings)
    show_report(console, path, report, remarks)
    if write is not None:
        write_jsonl(write, ({**vars(task)} for task in found.tasks))
        console.print(f"Wrote {len(found.tasks):,} tasks without problems to {escape(str(write))}.", highlight=False)
    elif report.problems.count and found.tasks:
        console.print("--write FILE writes the tasks without problems in the project's own format.")
    if report.problems.count:
        ctx.exit(2)


def show_report(console: Console, path: Path, report: SeedReport, with_remarks: bool) -> None:
    """Print the table, the notes and the problems; with `with_remarks` also all remarks."""
    console.print(_table(path, report))
    show_notes(console, report.notes)
    show_problems(console, "problem(s) to fix", report.problems)
    if with_remarks:
        show_problems(console, "remark(s)", report.remarks)
    elif report.remarks.count:
        subjects = "near duplicates, filter rules and missing answers"
        console.print(f"{report.remarks.count} remark(s) on {subjects}: --remarks shows them.")
    if not report.problems.count:
        console.print("[green]No problems: the file can be used as SEDI_SEEDS.[/green]")


def _table(path: Path, report: SeedReport) -> Table:
    assigned = any(row.confidence for row in report.rows)
    table = Table(title=f"Seed tasks in {escape(str(path))}", title_justify="left", show_footer=True)
    rows = report.rows
    table.add_column("Category", no_wrap=True, footer="All")
    for name, values in (
        ("Tasks", [row.tasks for row in rows]),
        ("With input", [row.with_input for row in rows]),
        ("Near duplicates", [row.duplicates for row in rows]),
        ("Near evaluation items", [row.near_items for row in rows]),
    ):
        table.add_column(name, justify="right", footer=str(sum(values)))
    if assigned:
        table.add_column("Confidence (median)", justify="right")
    for row in rows:
        cells = [escape(row.category), *map(str, (row.tasks, row.with_input, row.duplicates, row.near_items))]
        if assigned:
            cells.append("" if row.median_confidence is None else f"{row.median_confidence:.0%}")
        table.add_row(*cells)
    return table
