"""What the loop is worth: whole loops of the product, arm against arm, at equal teacher tokens.

\b
    python benchmarks/closed_loop.py                    # every arm and project seed that is not finished, then the page
    python benchmarks/closed_loop.py --quick            # under 20 minutes on two cores: enough to see a broken change
    python benchmarks/closed_loop.py --arms ours,sedi --seeds 1-3
    python benchmarks/closed_loop.py --report           # no loop: the page from what is finished

It may be stopped at any point and started again: a loop that is finished here, or in `docs/results.json` with the
same settings, is not run again; one that was stopped goes on. Loops lie in `.cache/closed_loop/`. An arm is a few lines
in `benchmarks/proof/arms.yaml`; `docs/results.md` and `docs/results.json` are written from what is finished. The
teacher is SIMULATED, or on the ground `recorded` a stream of the user's (`benchmarks/teachers/README.md`).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
from joblib import cpu_count

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.proof.arms import BASELINES, Plan, load_plan
from benchmarks.proof.loops import Loop, run_all
from benchmarks.proof.measuring import measure, measurement_items, points
from benchmarks.proof.results import NAMES, ON_GPU, merge, on_record, page, read

ROOT = Path(__file__).resolve().parent.parent
ARMS = ROOT / "benchmarks" / "proof" / "arms.yaml"
DOCS = ROOT / "docs"
GROUNDS = ("development", "final", "recorded")
FIRST_PORT, PORTS_A_SEED = 18400, 64


@click.command(help=__doc__, context_settings={"max_content_width": 120})
@click.option("--quick", is_flag=True, help="Few arms, seeds, rounds and items; nothing in docs/ is written.")
@click.option("--ground", type=click.Choice(GROUNDS), default="development", show_default=True)
@click.option("--alpaca", type=click.Path(exists=True, path_type=Path), help="Ground recorded: the teacher's stream.")
@click.option("--human", type=click.Path(exists=True, path_type=Path), help="Ground recorded: human-written tasks.")
@click.option("--arms", "names", default="", help="Names, separated by commas; empty: all.")
@click.option("--seeds", default="", help="Project seeds, such as 1-3 or 2; empty: as in the arms' file.")
@click.option("--jobs", type=int, default=0, help="Loops side by side; 0: one a core.")
@click.option("--folder", type=click.Path(path_type=Path), default=ROOT / ".cache" / "closed_loop", show_default=True)
@click.option("--report", is_flag=True, help="Run nothing; write the page from what is finished.")
@click.option("--docs", type=click.Path(path_type=Path), default=None, help="Where the page goes; default: docs/.")
def main(
    quick: bool,
    ground: str,
    alpaca: Path | None,
    human: Path | None,
    names: str,
    seeds: str,
    jobs: int,
    folder: Path,
    report: bool,
    docs: Path | None,
) -> None:
    plan = load_plan(ARMS, quick)
    chosen = [name.strip() for name in names.split(",") if name.strip()] or list(plan.chosen)
    unknown = sorted(set(chosen) - plan.arms.keys())
    if unknown:
        raise click.UsageError(f"Unknown arm: {', '.join(unknown)}. {ARMS.name} has: {', '.join(plan.arms)}.")
    gone = [plan.arms[name] for name in chosen if plan.arms[name].last_commit]
    if gone and not report:
        raise click.UsageError(f"{gone[0].name} has settings that are gone: check out {gone[0].last_commit} to run it.")
    project_seeds = _seeds(seeds) if seeds else plan.project_seeds
    folder = (folder / ("quick" if quick else "full") / ground).resolve()
    ground_folder = _ground(ground, folder, alpaca, human)
    models = _models(folder)
    jobs = jobs or cpu_count()
    threads = max(1, cpu_count() // jobs)
    order = list(plan.arms)

    def loop(name: str, seed: int, shares: Path | None = None) -> Loop:
        at = folder / name / f"seed-{seed}"
        port = FIRST_PORT + PORTS_A_SEED * seed + order.index(name)
        return Loop(
            plan.arms[name], seed, at, ground_folder, _teacher(ground, ground_folder, at, seed), port, models, shares
        )

    baselines = [loop(BASELINES, seed) for seed in project_seeds]
    loops = [
        loop(name, b.project_seed, b.folder if plan.arms[name].rounds else None) for b in baselines for name in chosen
    ]
    started = time.monotonic()
    items = measurement_items(ground_folder, plan.measurement_items)
    out = docs or (folder if quick else DOCS)
    record = ground + ON_GPU if _gpu() else ground  # rounding differs: loops are paired on one kind of device
    known = on_record(out / "results.json", record, items)
    loops = [new for new in loops if known.get((new.arm.name, str(new.project_seed))) != new.arm.version]
    baselines = [b for b in baselines if b.project_seed in {new.project_seed for new in loops}]
    failed: list[str] = []
    if not report:
        alone = [loop for loop in loops if loop.shares is None and loop not in baselines]
        failed = run_all([*baselines, *alone], jobs, threads, click.echo)
        failed += run_all([loop for loop in loops if loop.shares], jobs, threads, click.echo)
    done = [loop for loop in loops if loop.finished()]
    measure([b for b in baselines if b.finished()], items, jobs, threads)
    measure(done, items, jobs, threads)
    results: dict[str, dict[str, object]] = {}
    for loop in done:
        results.setdefault(loop.arm.name, {})[str(loop.project_seed)] = points(loop, items)
    about = {"machine": _machine(), "jobs": jobs, "ground": ground}
    merge(out / "results.json", record, results, items, about)
    _write_page(out, plan)
    click.echo(f"{out / 'results.md'} written; {(time.monotonic() - started) / 60:.1f} min")
    sys.exit(1 if failed else 0)


def _seeds(text: str) -> range:
    """The project seeds of `1-3` or `2`."""
    first, _, last = text.partition("-")
    if not (first.isdigit() and (last or first).isdigit()):
        raise click.UsageError(f"--seeds {text}: expected a number such as 2, or a range such as 1-3.")
    return range(int(first), int(last or first) + 1)


def _write_page(out: Path, plan: Plan) -> None:
    from benchmarks.proof.figures import draw

    data = read(out / "results.json")
    drawn = {
        name: [file.relative_to(out) for file in draw(name, data[name], plan, out / "images")]
        for name in data
        if name in NAMES
    }
    (out / "results.md").write_text(page(data, plan, drawn), encoding="utf-8")


def _ground(name: str, folder: Path, alpaca: Path | None, human: Path | None) -> Path:
    """The files of the ground, written once."""
    from benchmarks.teachers.grounds import write_ground
    from benchmarks.teachers.recorded_ground import write_recorded_ground

    target = folder / "ground"
    if target.exists():
        return target
    if name != "recorded":
        write_ground(name, target)
    elif alpaca and human:
        write_recorded_ground(alpaca, human, target)
    else:
        raise click.UsageError("--ground recorded needs --alpaca FILE and --human FILE.")
    return target


def _teacher(ground: str, files: Path, loop: Path, seed: int) -> tuple[str, ...]:
    """The command that serves a loop's teacher, but for the port."""
    if ground != "recorded":
        return (sys.executable, "-m", "benchmarks.teachers.simulated", "--ground", ground)
    state = str(loop / "stream.jsonl")  # which rows each request got
    return (sys.executable, "-m", "benchmarks.teachers.recorded", str(files), "--seed", str(seed), "--state", state)


def _models(folder: Path) -> Path:
    """The converted student, shared by all loops."""
    from sedi_dagster.models import BUNDLED_STUDENT
    from sedi_dagster.student.loading import student_source

    return Path(student_source(BUNDLED_STUDENT, folder)).parent


def _gpu() -> str:
    """The name of the GPU; empty: there is none."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""


def _machine() -> str:
    return f"{cpu_count()} CPU core{'s' if cpu_count() > 1 else ''}, {f'one {_gpu()}' if _gpu() else 'no GPU'}"


if __name__ == "__main__":
    main()
