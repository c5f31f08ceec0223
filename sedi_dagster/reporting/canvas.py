"""Creating figures in the style of all plots, and writing them as SVG for a page or as PNG.

Figures use the light palette, and no pyplot, so there is no global state. In SVG, every colour of the palette becomes a
CSS variable, so that a page can show the same plot in dark mode.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from sedi_dagster.reporting.palette import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RC: dict[Any, Any] = {
    "svg.fonttype": "none",  # keep text as text: selectable, and in the page's font
    "svg.hashsalt": "sedi",  # equal plots give equal bytes
    "text.parse_math": False,
    "font.size": 9.5,
    "text.color": LIGHT["ink"],
    "axes.labelcolor": LIGHT["muted"],
    "axes.edgecolor": LIGHT["line"],
    "axes.facecolor": "none",
    "figure.facecolor": LIGHT["surface"],
    "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"],
    "xtick.labelcolor": LIGHT["muted"],
    "ytick.labelcolor": LIGHT["ink"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": LIGHT["line"],
    "grid.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
}
_UI_INCHES, _UI_DPI = 4.5, 92  # 414 pixels
_FONT = re.compile(r"font-family: [^;\"]*")
_FONT_SHORT = re.compile(r"(font: [\d.]+px )[^;\"]*")


def blank(width: float, height: float, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Return an empty figure of the given size in inches, with its panels stacked vertically."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_RC):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, [figure.add_subplot(panels, 1, number + 1) for number in range(panels)]


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG in light colours, as wide as a column of the Dagster UI."""
    target = io.BytesIO()
    figure.set_size_inches(_UI_INCHES, figure.get_figheight())
    _save(figure, target, format="png", dpi=_UI_DPI, metadata={"Software": None})
    return target.getvalue()


def to_svg(figure: Figure, label: str) -> str:
    """Return the figure as an `<svg>` element with CSS variables for its colours and the font of the page."""
    target = io.StringIO()
    no_metadata: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    _save(figure, target, format="svg", transparent=True, metadata=no_metadata)
    text = target.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    # Nothing refers to the ids of groups, which would not be unique on a page with several plots.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = _FONT_SHORT.sub(r"\1inherit", _FONT.sub("font-family: inherit", text))
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', text)[:2]
    text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', f'role="img" aria-label="{label}"', text, count=1)
    for name, colour in LIGHT.items():
        text = text.replace(colour, f"var(--{name})")
    shape = f"--plot-width: {float(width) * 4 / 3:.0f}px; aspect-ratio: {width} / {height}"
    return text.replace("<svg ", f'<svg class="plot" style="{shape}" ', 1).strip()


def _save(figure: Figure, target: io.BytesIO | io.StringIO, **options: Any) -> None:
    import matplotlib
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # names may contain dollar signs
    with matplotlib.rc_context(_RC):
        figure.savefig(target, **options)
