"""The location of the ledger. A separate module, so that readers need not import the client."""

from pathlib import Path

from sedi_dagster.errors import SettingsError
from sedi_dagster.settings import Settings


def ledger_url(settings: Settings) -> str:
    """Where the ledger is: as set, else SQLite in the data folder.

    Raises:
        SettingsError: the data is at a URL, where no SQLite can be, and no ledger is set.
    """
    if settings.ledger:
        return settings.ledger
    root = settings.data_root.removeprefix("file://")
    if "://" in root:
        raise SettingsError(
            f"The ledger of teacher calls cannot be stored at {settings.data_root}.",
            "Set SEDI_LEDGER to a database, such as postgresql+psycopg://user@host/sedi or sqlite:////path/ledger.sqlite.",
        )
    return f"sqlite:///{Path(root) / 'ledger.sqlite'}"  # settings refuse what would mean something else in a URL
