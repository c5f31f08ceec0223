"""The launchpad knows every setting by name, type and choice, and no secret."""

from __future__ import annotations

import dagster as dg
import pytest
from pydantic import ValidationError

from sedi_dagster.definitions import defs
from sedi_dagster.orchestration.resources import SediResource, overrides_model
from sedi_dagster.settings import Settings


def launched(**overrides: object) -> None:
    job = defs().resolve_job_def("open_round")
    dg.validate_run_config(job, {"resources": {"sedi": {"config": {"overrides": overrides}}}})


def test_the_launchpad_checks_names_types_and_choices() -> None:
    launched(training={"epochs": 2, "method": "full"}, loop={"max_tokens": 10}, generation={"methods": {"evol": 1.0}})
    for wrong in ({"epoch": 2}, {"epochs": "two"}, {"method": "lra"}):
        with pytest.raises(dg.DagsterInvalidConfigError, match=next(iter(wrong))):
            launched(training=wrong)
    with pytest.raises(dg.DagsterInvalidConfigError, match="trainig"):
        launched(trainig={"epochs": 2})


def test_every_setting_but_the_secret_ones_is_there_with_its_description() -> None:
    model = overrides_model()
    assert model.model_fields.keys() == Settings.model_fields.keys()
    for group, info in Settings.model_fields.items():
        if not hasattr(info.annotation, "model_fields"):
            continue
        theirs = model.model_fields[group].annotation.model_fields  # type: ignore[union-attr]
        left_out = info.annotation.model_fields.keys() - theirs.keys()
        assert all(
            "never written anywhere" in (info.annotation.model_fields[name].description or "") for name in left_out
        )
        assert all(theirs[name].description == info.annotation.model_fields[name].description for name in theirs)


def test_what_is_not_given_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEDI_TRAINING_LEARNING_RATE", "0.01")
    settings = SediResource(overrides={"training": {"method": "full"}}).settings()
    assert settings.training.method == "full" and settings.training.learning_rate == 0.01
    assert SediResource().settings() == SediResource(overrides={}).settings()
    with pytest.raises(ValidationError, match="epoch"):
        SediResource(overrides={"training": {"epoch": 2}})
