"""All settings with defaults and descriptions: one module per group, profiles as YAML files.

`load_settings` reads them. Precedence, lowest first: defaults, the profile, `.env`, `SEDI_*` variables, overrides (a
command-line option, or run config in the launchpad). A setting of a group is named `SEDI_<GROUP>_<FIELD>`, such as
`SEDI_TEACHER_BASE_URL`. No setting is read anywhere else, and nothing here depends on how settings are used.
"""

from sedi_dagster.settings.alerts import AlertSettings
from sedi_dagster.settings.batching import BatchingSettings
from sedi_dagster.settings.budget import BudgetSettings, Price
from sedi_dagster.settings.evaluation import EvaluationSettings
from sedi_dagster.settings.feedback import FeedbackSettings
from sedi_dagster.settings.filtering import FilteringSettings
from sedi_dagster.settings.generation import GenerationSettings
from sedi_dagster.settings.loading import load_settings
from sedi_dagster.settings.loop import LoopSettings
from sedi_dagster.settings.masking import secrets_in
from sedi_dagster.settings.paths import PROJECT_ROOT, local_path, odd_in_path
from sedi_dagster.settings.profiles import PROFILES
from sedi_dagster.settings.ray import RaySettings
from sedi_dagster.settings.schema import Settings
from sedi_dagster.settings.teacher import SIMULATED, TeacherSettings
from sedi_dagster.settings.training import TrainingSettings

__all__ = [
    "PROFILES",
    "PROJECT_ROOT",
    "SIMULATED",
    "AlertSettings",
    "BatchingSettings",
    "BudgetSettings",
    "EvaluationSettings",
    "FeedbackSettings",
    "FilteringSettings",
    "GenerationSettings",
    "LoopSettings",
    "Price",
    "RaySettings",
    "Settings",
    "TeacherSettings",
    "TrainingSettings",
    "load_settings",
    "local_path",
    "odd_in_path",
    "secrets_in",
]
