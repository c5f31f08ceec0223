"""Rendering page templates. All text, including a model's output, is escaped here."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sedi_dagster.reporting import numbers
from sedi_dagster.reporting.palette import DARK, DECISION_COLOUR, LIGHT


def render_page(template: str, **values: Any) -> str:
    """Render `templates/<template>`. All values are escaped except `Markup`, which plots are.

    With `simulated=True`, a banner says that the teacher was simulated.
    """
    return str(_environment().get_template(template).render({"simulated": False, **values}))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sedi_dagster.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_safe_to_show,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in "count percent points decimal measured clip moment words duration p_value".split():
        environment.filters[name] = getattr(numbers, name)
    environment.globals.update(light=LIGHT, dark=DARK, decision_colour=DECISION_COLOUR)
    return environment


def _safe_to_show(value: Any) -> Any:
    return numbers.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
