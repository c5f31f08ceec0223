"""A finished loop that the tests of lineage share; who changes it takes a copy."""

from __future__ import annotations

import pytest
from made_loop import make_loop

from sedi_dagster.storage.store import Store


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_loop(tmp_path_factory.mktemp("finished"))
