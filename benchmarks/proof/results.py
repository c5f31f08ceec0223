"""`docs/results.json` and `docs/results.md`: every figure and every claim computed from the loops, none typed in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.proof.arms import Claim, Plan
from benchmarks.proof.statistics import Comparison, Curve, compare, interval_of_mean, resampled_means
from sedi_dagster.records import EvaluationItem

Loops = Mapping[str, Mapping[str, Any]]
"""Arm, then project seed as text, then the loop (`measuring.points`)."""

NAMES = {"development": "the skills that the method was developed on", "final": "the skills opened once, at the end"}
ON_GPU = "_gpu"
"""Ends the name under which loops on a GPU are on record."""
RECORDED = "recorded"
ENOUGH_SEEDS = 5
"""Project seeds below which the page says how few there were."""


def on_record(file: Path, ground: str, items: Sequence[EvaluationItem]) -> dict[tuple[str, str], str]:
    """Version of the arm of each loop in `results.json`, by arm and project seed; none that other items measured."""
    if not file.exists():
        return {}
    there = json.loads(file.read_text(encoding="utf-8")).get(ground)
    if there is None or there["items"] != _named(items):
        return {}
    return {(arm, seed): loop["arm_version"] for arm, of in there["arms"].items() for seed, loop in of.items()}


def _named(items: Sequence[EvaluationItem]) -> list[dict[str, str]]:
    return [{"id": item.id, "category": item.category, "wording": item.cluster} for item in items]


def merge(
    file: Path, ground: str, loops: Loops, items: Sequence[EvaluationItem], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Put loops into `results.json`, beside those of other grounds and arms that are there already."""
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    there = data.setdefault(ground, {"about": {}, "items": [], "arms": {}})
    named = _named(items)
    if there["items"] != named:
        there["arms"] = {}
    there["items"] = named
    if loops or not there["about"]:  # a page written anew elsewhere does not move the loops to that machine
        there["about"] = {"note": there["about"].get("note", ""), **about}
    for arm, by_seed in loops.items():
        there["arms"].setdefault(arm, {}).update(by_seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_compact(data) + "\n", encoding="utf-8")
    return data


def _compact(data: Mapping[str, Any]) -> str:
    """JSON with passes as strings of 0 and 1: a tenth of the lines."""
    return json.dumps(_packed(data), indent=1, ensure_ascii=False)


def _packed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _packed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        if len(value) > 1 and all(isinstance(v, int) and v in (0, 1) for v in value):
            return "".join(map(str, value))
        return [_packed(inner) for inner in value]
    return value


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unpacked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_unpacked(inner) for inner in value]
    if isinstance(value, str) and len(value) > 1 and set(value) <= {"0", "1"}:
        return [int(digit) for digit in value]
    return value


def read(file: Path) -> dict[str, Any]:
    """`results.json` with passes as lists. A ground whose loops all ran on a GPU stands under its own name."""
    data: dict[str, Any] = _unpacked(json.loads(file.read_text(encoding="utf-8")))
    for ground in (*NAMES, RECORDED):
        if ground + ON_GPU in data and not data.get(ground, {}).get("arms"):
            data[ground] = data.pop(ground + ON_GPU)
    return data


def curves(ground: Mapping[str, Any], measure: str = "tokens") -> dict[str, dict[int, Curve]]:
    """By arm and project seed; arms without rounds (the references) are left out."""
    found = {}
    for arm, by_seed in ground["arms"].items():
        made = {int(seed): Curve.of(loop, measure) for seed, loop in by_seed.items() if loop["rounds"]}
        if made:
            found[arm] = made
    return found


def page(data: Mapping[str, Any], plan: Plan, figures: Mapping[str, Sequence[Path]]) -> str:
    """The text of `docs/results.md`.

    Args:
        figures: by ground, as paths relative to the page.
    """
    parts = [_HEAD, _summary(data, plan)]
    for ground in (name for name in NAMES if name in data):
        parts.append(_ground(ground, data[ground], plan, figures.get(ground, ())))
        if ground + ON_GPU in data:
            parts.append(_repeated(data[ground], data[ground + ON_GPU], plan))
    for ground in (name for name in (RECORDED, RECORDED + ON_GPU) if name in data):
        parts.append(_recorded(data[ground], plan))
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


_HEAD = """\
# Results

Written by `python benchmarks/closed_loop.py`; the raw figures are in [results.json](results.json). Every number comes
from whole loops, run through the public settings with a **SIMULATED teacher**
([its specification](../benchmarks/teachers/README.md)) that was frozen before the first comparison. The student
(SmolLM2-135M-Instruct), its training, filtering, evaluation and planning are real.

An *arm* is a named set of settings, and *ours* the arm of this project's method. The *project seed* varies all random
choices. *Teacher tokens* are prompt and completion tokens together; *priced tokens* count a prompt token as a quarter
of a completion token. Intervals are 95 % bootstrap intervals over project seeds and wordings of items."""


def _summary(data: Mapping[str, Any], plan: Plan) -> str:
    lines = ["## Summary", ""]
    for ground in (name for name in NAMES if name in data):
        found = curves(data[ground])
        if plan.ours not in found or plan.baseline not in found:
            continue
        wordings = [item["wording"] for item in data[ground]["items"]]
        lines += [f"On {NAMES[ground]}:", ""]
        lines += [
            _claim(claim, compare(found[claim.arm], found[claim.against], wordings), plan)
            for claim in plan.claims
            if found.get(claim.arm, {}).keys() & found.get(claim.against, {}).keys()  # a project seed in common
        ]
        lines.append("")
    return "\n".join(lines)


def _claim(claim: Claim, c: Comparison, plan: Plan) -> str:
    if c.difference.low > 0:
        verdict = "holds"
    elif c.difference.high < 0:
        verdict = "does **not** hold: it is worse"
    else:
        verdict = "is **not shown**"
    if c.seeds < ENOUGH_SEEDS:
        verdict += f" (with only {c.seeds} of {ENOUGH_SEEDS} required project seeds)"
    tokens = (
        "not every seed reaches that arm's final accuracy"
        if c.token_ratio is None
        else f"reaches that arm's final accuracy with {c.token_ratio:.0%} of the tokens"
    )
    arm, against = plan.arms[claim.arm].label, plan.arms[claim.against].label
    return (
        f"- **Gain from {claim.gain}** ({arm} against {against}) {verdict}. At {c.tokens:,.0f} teacher tokens "
        f"{_points(c.difference)} points, {_relative(c)} relative; ahead in {c.wins} of {c.seeds} project seeds; "
        f"{tokens}."
    )


def _ground(name: str, ground: Mapping[str, Any], plan: Plan, figures: Sequence[Path]) -> str:
    wordings = [item["wording"] for item in ground["items"]]
    found, priced = curves(ground), curves(ground, "priced_tokens")
    about = ground["about"]
    lines = [f"## Skill set {name}: {NAMES[name]}", "", _about(about, ground, plan), ""]
    lines += [f"![{path.stem.replace('_', ' ')}]({path})" for path in figures]
    lines += ["", *_columns(ground, plan), ""]
    if found:
        lines += [*_settings_table(found, plan), ""]
        budget = min(curve.end for by_seed in found.values() for curve in by_seed.values())
        lines += _arms_table(found, ground, plan, wordings, budget)
        lines += ["", *_pairs_table(found, priced, plan, wordings)]
        lines += ["", *_categories_table(ground, plan)]
    return "\n".join(lines)


def _about(about: Mapping[str, Any], ground: Mapping[str, Any], plan: Plan) -> str:
    seconds = [loop["seconds"] for by_seed in ground["arms"].values() for loop in by_seed.values() if loop["seconds"]]
    commits = sorted({loop["commit"] for by_seed in ground["arms"].values() for loop in by_seed.values()})
    mean = sum(seconds) / max(1, len(seconds)) / 60
    arms = ",".join(name for name in ground["arms"] if not plan.arms[name].last_commit)  # the others cannot be run here
    files = " --alpaca FILE --human FILE" if about["ground"] == RECORDED else ""
    again = f"--ground {about['ground']}{files} --arms {arms} --docs NEW_FOLDER"
    return (
        f"{len(seconds)} loops on {about['machine']}, {about['jobs']} in parallel, {mean:.1f} min each; "
        f"{len(ground['items'])} items for measurement, others for decisions within the loops. "
        f"Commits: {', '.join(commits)}. "
        f"To run them again: `python benchmarks/closed_loop.py {again}`, which takes no loop from the record."
        + (f" {about['note']}" if about.get("note") else "")
    )


def _columns(ground: Mapping[str, Any], plan: Plan) -> list[str]:
    """Untrained, seed tasks only, ours, perfect answers: each the mean over project seeds."""

    def mean(rows: Sequence[Sequence[float]]) -> str:
        flat = [sum(row) / len(row) for row in rows if row]
        return f"{sum(flat) / len(flat):.3f}" if flat else "-"

    arms = ground["arms"]
    ours = arms.get(plan.ours, {}).values()
    baseline = arms.get(plan.baseline, {}).values()
    references = {name: arm for name, arm in plan.arms.items() if arm.rounds == 0 and name in arms}
    head = ["untrained", "seed tasks, where round 1 starts", plan.arms[plan.baseline].label, plan.arms[plan.ours].label]
    cells = [
        mean([loop["untrained"] for by_seed in arms.values() for loop in by_seed.values()]),
        mean([loop["seed_tasks"] for loop in ours]),
        mean([loop["rounds"][-1]["passes"] for loop in baseline]),
        mean([loop["rounds"][-1]["passes"] for loop in ours]),
    ]
    for name, arm in references.items():
        head.append(f"{arm.label}, as many steps as a loop (seeds: {len(arms[name])})")
        cells.append(mean([loop["seed_tasks"] for loop in arms[name].values()]))
    return [
        "Accuracy after the last round, mean over project seeds:",
        "",
        f"| {' | '.join(head)} |",
        f"|{' --: |' * len(head)}",
        f"| {' | '.join(cells)} |",
    ]


def _settings_table(found: Iterable[str], plan: Plan) -> list[str]:
    """What an arm is: the settings in which it differs from the baseline."""
    base = plan.arms[plan.baseline].settings
    lines = [
        "All arms have the settings under `common` in [`arms.yaml`](../benchmarks/proof/arms.yaml). They differ in:",
        "",
        "| arm | settings (`SEDI_` omitted); for the others, where they differ from the first |",
        "| --- | --- |",
    ]
    shared = dict(set.intersection(*(set(arm.settings.items()) for arm in plan.arms.values() if arm.rounds)))
    for name in (n for n in plan.arms if n in found):
        settings = plan.arms[name].settings
        of = shared if name == plan.baseline else base
        own = [f"`{key.removeprefix('SEDI_')}={value}`" for key, value in settings.items() if of.get(key) != value]
        lines.append(f"| {plan.arms[name].label} | {', '.join(own)} |")
    return lines


def _arms_table(
    found: Mapping[str, Mapping[int, Curve]],
    ground: Mapping[str, Any],
    plan: Plan,
    wordings: Sequence[str],
    budget: float,
) -> list[str]:
    lines = [
        f"All arms at the token count of the shortest loop ({budget:,.0f}), with the same number of optimizer steps "
        "per round:",
        "",
        "| arm | loops | accuracy (95 % interval) | lowest and highest seed | mean over the tokens until then | kept "
        "| tokens per kept example |",
        "| --- | --: | --- | --- | --: | --: | --: |",
    ]
    for name in (n for n in plan.arms if n in found):
        by_seed = found[name]
        at = interval_of_mean(by_seed, budget, wordings)
        each = [curve.accuracy(budget) for curve in by_seed.values()]
        area = sum(curve.area(budget) for curve in by_seed.values()) / len(by_seed)
        loops = ground["arms"][name].values()
        kept = sum(r["kept"] for loop in loops for r in loop["rounds"])
        candidates = sum(r["candidates"] for loop in loops for r in loop["rounds"])
        tokens = sum(loop["rounds"][-1]["tokens"] for loop in loops)
        lines.append(
            f"| {plan.arms[name].label} | {len(by_seed)} | {at} | {min(each):.3f} to {max(each):.3f} | {area:.3f} "
            f"| {kept / max(1, candidates):.0%} | {tokens / max(1, kept):,.0f} |"
        )
    return lines


def _pairs_table(
    found: Mapping[str, Mapping[int, Curve]],
    priced: Mapping[str, Mapping[int, Curve]],
    plan: Plan,
    wordings: Sequence[str],
) -> list[str]:
    """Ours against each other arm."""
    if plan.ours not in found:
        return []
    lines = [
        "Ours against each other arm, paired by project seed, at the largest token count that both reached; the last",
        "column is at equal priced tokens (a prompt token costs a quarter of a completion token):",
        "",
        "| against | at tokens | points | relative | ahead | tokens to the other's accuracy | points at equal price |",
        "| --- | --: | --- | --- | --: | --: | --- |",
    ]
    for name in (n for n in plan.arms if n != plan.ours and found.get(n, {}).keys() & found[plan.ours].keys()):
        c, p = (compare(of[plan.ours], of[name], wordings) for of in (found, priced))
        reach = "not in every seed" if c.token_ratio is None else f"{c.token_ratio:.0%}"
        lines.append(
            f"| {plan.arms[name].label} | {c.tokens:,.0f} | {_points(c.difference)} | {_relative(c)} "
            f"| {c.wins}/{c.seeds} | {reach} | {_points(p.difference)} |"
        )
    return lines


def _repeated(cpu: Mapping[str, Any], gpu: Mapping[str, Any], plan: Plan) -> str:
    """The same loops on a GPU. They round otherwise, so that each is the same experiment with other luck.

    Empty where there are fewer than two with rounds.
    """
    pairs = [
        (name, seed, *(_accuracies(ground["arms"][name][seed]) for ground in (cpu, gpu)))
        for name in plan.arms
        for seed in sorted(cpu["arms"].get(name, {}).keys() & gpu["arms"].get(name, {}).keys())
    ]
    loops = [(on_cpu, on_gpu) for _, _, on_cpu, on_gpu in pairs if len(on_cpu) > 1]
    if len(loops) < 2:
        return ""
    by_round = [np.array([b[n] - a[n] for a, b in loops]) for n in range(min(len(a) for pair in loops for a in pair))]
    spread = " / ".join(f"{100 * np.std(apart) / np.sqrt(2):.1f}" for apart in by_round)
    numbers = " / ".join(str(n) for n, _ in enumerate(by_round, 1))
    about = gpu["about"]
    seconds = [loop["seconds"] for by_seed in gpu["arms"].values() for loop in by_seed.values() if loop["rounds"]]
    lines = [
        "### The same loops on a GPU",
        "",
        f"{about['machine']}: {about['jobs']} whole loops in parallel took {sum(seconds) / len(seconds) / 60:.1f} min. "
        f"{about.get('note', '')}".strip(),
        "",
        "A GPU rounds differently, so a loop with the same project seed takes another course. The distance between the",
        f"two shows the noise of one loop: standard deviation {spread} points after rounds {numbers}. What",
        "separates arms by one project seed is hardly more.",
        "",
        "| arm | project seed | CPU, by round | GPU, by round |",
        "| --- | --: | --- | --- |",
    ]
    for name, seed, *both in pairs:
        cells = " | ".join(", ".join(f"{value:.3f}" for value in values) for values in both)
        lines.append(f"| {plan.arms[name].label} | {seed} | {cells} |")
    for name in (n for n, arm in plan.arms.items() if n in gpu["arms"] and not arm.rounds):
        values = [_accuracies(loop)[0] for loop in gpu["arms"][name].values()]
        mean = sum(values) / len(values)
        lines += ["", f"{plan.arms[name].label} on the GPU, {len(values)} project seeds: mean {mean:.3f}."]
    return "\n".join(lines)


def _accuracies(loop: Mapping[str, Any]) -> list[float]:
    """By round; of an arm without rounds, that of its only student."""
    rows = [entry["passes"] for entry in loop["rounds"]] or [loop["seed_tasks"]]
    return [sum(row) / len(row) for row in rows]


def _relative(c: Comparison) -> str:
    return f"{c.relative.value:+.0%} ({c.relative.low:+.0%} to {c.relative.high:+.0%})"


def _points(interval: Any) -> str:
    return f"{100 * interval.value:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"


def _categories_table(ground: Mapping[str, Any], plan: Plan) -> list[str]:
    """Ours by category over rounds, mean over project seeds: a fall is forgetting."""
    loops = list(ground["arms"].get(plan.ours, {}).values())
    if not loops:
        return []
    rounds = min(len(loop["rounds"]) for loop in loops)
    categories = sorted({item["category"] for item in ground["items"]})
    lines = [
        f"{plan.arms[plan.ours].label}, by category (share passed, mean over project seeds; a drop is forgetting):",
        "",
        f"| category | untrained | seed tasks | {' | '.join(f'round {n + 1}' for n in range(rounds))} |",
        f"| --- | --: | --: |{' --: |' * rounds}",
    ]
    for category in categories:
        places = [i for i, item in enumerate(ground["items"]) if item["category"] == category]

        def share(rows: Sequence[Sequence[float]], places: Sequence[int] = places) -> str:
            values = [row[i] for row in rows for i in places]
            return f"{sum(values) / max(1, len(values)):.2f}"

        cells = [
            share([loop["untrained"] for loop in loops]),
            share([loop["seed_tasks"] or loop["untrained"] for loop in loops]),
        ]
        cells += [share([loop["rounds"][n]["passes"] for loop in loops]) for n in range(rounds)]
        lines.append(f"| {category} | {' | '.join(cells)} |")
    return lines


def _recorded(ground: Mapping[str, Any], plan: Plan) -> str:
    """Text that nobody made by template: held-out loss, and how often it is below that of the baseline arm."""
    arms = ground["arms"]
    lines = [
        "## Skill set recorded: real text",
        "",
        "The teacher's answers are drawn from a stream of real instruction data; what is measured is the loss of human",
        "answers to human-written tasks (lower is better), and the share of them on which an arm's student has a lower",
        f"loss than that of {plan.arms[plan.baseline].label} after the last round (win rate, 0.5: no difference).",
        "",
        _about(ground["about"], ground, plan),
        "",
        "| arm | loops | tokens | untrained | seed tasks | after the last round | win rate (95 % interval) |",
        "| --- | --: | --: | --: | --: | --: | --- |",
    ]
    wordings = [item["wording"] for item in ground["items"]]
    other = arms.get(plan.baseline, {})
    for name in (n for n in plan.arms if n in arms and plan.arms[n].rounds):
        loops = arms[name]
        shared = sorted(loops.keys() & other.keys())
        wins = np.array([np.less(loops[s]["losses"]["last"], other[s]["losses"]["last"]).astype(float) for s in shared])
        rate = "-"
        if name != plan.baseline and len(shared):
            low, high = np.quantile(resampled_means(wins[None], wordings, 4000)[:, 0], [0.025, 0.975])
            rate = f"{wins.mean():.2f} ({low:.2f} to {high:.2f})"
        means = [
            np.mean([loop["losses"][when] for loop in loops.values() if when in loop["losses"]])
            for when in ("untrained", "seed_tasks", "last")
        ]
        tokens = np.mean([loop["rounds"][-1]["tokens"] for loop in loops.values()])
        cells = " | ".join(f"{mean:.3f}" for mean in means)
        lines.append(f"| {plan.arms[name].label} | {len(loops)} | {tokens:,.0f} | {cells} | {rate} |")
    return "\n".join(lines)
