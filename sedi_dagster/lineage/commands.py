"""`sedi export` and `sedi similar`."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sedi_dagster.batching.example_table import TABLE
from sedi_dagster.errors import SediError
from sedi_dagster.lineage.dataset import Selection, export_dataset, finished_examples, select
from sedi_dagster.lineage.dataset.forms import FORMS
from sedi_dagster.lineage.dataset.selection import SHARES, parse_shares
from sedi_dagster.records import round_named
from sedi_dagster.settings import Settings, load_settings
from sedi_dagster.storage.object_store import lance_database, lance_table
from sedi_dagster.storage.store import Store

if TYPE_CHECKING:
    import numpy as np

Embed = Callable[[Sequence[str], str], "np.ndarray"]
"""`embed(texts, model_name)` returns unit vectors, one row per text."""

_MAX_TEXT_LENGTH = 160
_SHARES = ",".join(f"{name}={share}" for name, share in SHARES.items())


@click.command("export")
@click.option("--to", "target", metavar="DIR|URL", help="Destination: a folder or any fsspec URL.")
@click.option("--push", "repository", metavar="OWNER/NAME", help="Push to the hub as this dataset (private).")
@click.option("--public", is_flag=True, help="With --push: create a public repository.")
@click.option("--round", "rounds", multiple=True, help="Only this round, such as 3. Repeatable.")
@click.option("--category", "categories", multiple=True, help="Only this category. Repeatable.")
@click.option(
    "--where",
    default="",
    metavar="SQL",
    help='Only examples matching this condition, such as "loss_before > 1 AND ifd < 0.9".',
)
@click.option(
    "--form", "forms", multiple=True, type=click.Choice(list(FORMS)), help="Only this format. Repeatable; default: all."
)
@click.option("--splits", default=_SHARES, show_default=True, help="Shares of the splits.")
def export_command(
    target: str | None,
    repository: str | None,
    public: bool,
    rounds: tuple[str, ...],
    categories: tuple[str, ...],
    where: str,
    forms: tuple[str, ...],
    splits: str,
) -> None:
    """Export the kept examples of finished rounds as a dataset with card, splits and checksums."""
    if not target and not repository:
        raise SediError("No destination is given.", "Name a folder or URL with --to, or a repository with --push.")
    if public and not repository:
        raise SediError("--public requires a repository.", "Name one with --push, or omit --public.")
    settings = load_settings()
    store = Store(settings.data_root)
    _check_outside(target, settings)
    selection = Selection(rounds, categories, where)
    examples = select(finished_examples(store), selection)
    options = (selection, forms or tuple(FORMS), parse_shares(splits))
    with tempfile.TemporaryDirectory() as scratch:
        folder = target or scratch
        files = export_dataset(store, settings, examples, Store(folder), *options)
        if target:
            click.echo(f"{examples.height:,} examples, {len(files)} files: {target}")
        if repository:
            if "://" in folder:
                folder = scratch
                export_dataset(store, settings, examples, Store(folder), *options)
            click.echo(f"{examples.height:,} examples pushed: {_push(Path(folder), repository, public)}")


def _check_outside(target: str | None, settings: Settings) -> None:
    """Refuse a target in the data folder, where `sedi verify` would report files without a recorded origin."""
    if target and "://" not in target + settings.data_root:
        data = Path(settings.data_root).resolve()
        if Path(target).resolve().is_relative_to(data):
            raise SediError(f"{target} is in the data folder ({data}).", "Name a folder outside of it with --to.")


def _push(folder: Path, repository: str, public: bool) -> str:
    """Upload a folder to the hub (or `HF_ENDPOINT`) as a dataset repository, creating it if needed, and return its URL.

    The token comes from `HF_TOKEN` or `hf auth login`.

    Raises:
        SediError: the hub refused the upload or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    hub = HfApi()
    try:
        repo = hub.create_repo(repository, repo_type="dataset", private=not public, exist_ok=True)
        hub.upload_folder(
            folder_path=folder, repo_id=repo.repo_id, repo_type="dataset", commit_message="Export of sedi-dagster"
        )
    except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OSError) as error:
        raise SediError(
            f"{repository} could not be pushed to {hub.endpoint}: {str(error).strip().splitlines()[0]}",
            "Check the name (owner/name), HF_TOKEN (it needs write access), HF_ENDPOINT and HF_HUB_OFFLINE.",
        ) from None
    return str(repo.url)


@click.command("similar")
@click.argument("text")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Number of examples to show."
)
@click.option("--as-of", default="", metavar="ROUND", help="Search the examples as of this round, such as 3.")
@click.option("--category", default="", help="Only this category.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def similar_command(text: str, limit: int, as_of: str, category: str, as_json: bool) -> None:
    """Find the kept examples whose instructions are closest in meaning to TEXT, with their cosine similarity."""
    from sedi_dagster.batching.embedding import embed

    settings = load_settings()
    key = round_named(as_of)
    model = settings.batching.embedding_model
    for row in similar_examples(Store(settings.data_root), text, embed, model, limit, key, category):
        if as_json:
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            shown = " ".join(f"{row['instruction']} {row['input']}".split())[:_MAX_TEXT_LENGTH]
            click.echo(f"{row['cosine']:.3f}  {row['example_id']}  {row['round']}  {row['category']}  {shown}")


def similar_examples(
    store: Store, text: str, embed: Embed, model: str, limit: int = 10, as_of: str = "", category: str = ""
) -> list[dict[str, Any]]:
    """Return the examples most similar to a text, nearest first.

    Args:
        model: the embedding model, which must be the one that made the stored vectors.
        as_of: read the table as this round left it; empty: as it is now.
        category: search only this category; empty: all.

    Returns:
        Rows with `example_id`, `round`, `category`, `instruction`, `input`, `output` and `cosine`.

    Raises:
        SediError: there are no examples, the round or category is unknown, or the vectors are from another model.
    """
    table = _open_table(store, as_of)
    first = table.search().select(["embedding_model"]).limit(1).to_list()
    if not first:
        raise SediError("No example has been kept yet.", "Run `sedi run` first.")
    if first[0]["embedding_model"] != model:
        raise SediError(
            f"The stored embeddings were made with {first[0]['embedding_model']}, not with {model}.",
            f"Set SEDI_BATCHING_EMBEDDING_MODEL={first[0]['embedding_model']}.",
        )
    query = table.search(embed([text], model)[0]).distance_type("cosine").limit(limit)
    if category:
        quoted = category.replace("'", "''")
        if not table.count_rows(f"category = '{quoted}'"):
            raise SediError(f"No example has the category {category!r}.", "`sedi plan` lists the categories.")
        query = query.where(f"category = '{quoted}'", prefilter=True)
    names = ("example_id", "round", "category", "instruction", "input", "output")
    return [{n: row[n] for n in names} | {"cosine": 1 - row["_distance"]} for row in query.to_list()]


def _open_table(store: Store, as_of: str) -> Any:
    """Open the table of examples as it was after the round `as_of`; empty: as it is now."""
    table = lance_table(lance_database(str(store.path("lance"))), TABLE)
    if table is None:
        raise SediError("No example has been kept yet.", "Run `sedi run` first.")
    if as_of:
        rounds = sorted(table.tags.list())
        if as_of not in rounds:
            raise SediError(f"The examples have no version for round {as_of!r}.", f"Choose from {', '.join(rounds)}.")
        table.checkout(as_of)
    return table
