"""The registry of generation methods. A new one is a file and a line here."""

import math
from collections.abc import Mapping

from sedi_dagster.errors import SettingsError
from sedi_dagster.generation.evol_instruct import EvolInstruct
from sedi_dagster.generation.method import Method
from sedi_dagster.generation.self_instruct import SelfInstruct
from sedi_dagster.generation.single_call import SingleCall
from sedi_dagster.settings import GenerationSettings

METHODS: dict[str, type[Method]] = {method.name: method for method in (SelfInstruct, SingleCall, EvolInstruct)}


def candidates_per_call(mix: Mapping[str, float], settings: GenerationSettings, chat: bool) -> int:
    """Return the number of candidates per call, for the method of the mix with the most."""
    fewest = (min(c.per_candidate for c in METHODS[name].call_shapes(settings, chat)) for name in mix)
    return max(1, round(1 / min(fewest, default=1.0)))


def check_mix(mix: Mapping[str, float]) -> None:
    """Check the setting `generation.methods`.

    Raises:
        SettingsError: a method does not exist, or the shares are not positive or do not sum to 1.
    """
    shown = ", ".join(f"{name}: {share:g}" for name, share in mix.items()) or "nothing"
    fix = (
        f"Set SEDI_GENERATION_METHODS to JSON with shares that sum to 1, of {', '.join(METHODS)}, "
        'such as {"self_instruct": 0.7, "single_call": 0.3}.'
    )
    if unknown := sorted(mix.keys() - METHODS.keys()):
        raise SettingsError(f"Unknown method of generation: {', '.join(unknown)} (in {shown}).", fix)
    if any(share <= 0 for share in mix.values()) or not math.isclose(sum(mix.values()), 1.0, abs_tol=1e-6):
        raise SettingsError(f"The shares of the methods do not add up to 1, each above 0: {shown}.", fix)
