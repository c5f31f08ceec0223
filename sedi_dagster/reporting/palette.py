"""Colours by role. Plots use the light ones; pages replace them by CSS variables of the same names."""

_COLOURS = {
    "page": ("#f6f7f9", "#0f141b"),
    "surface": ("#fffffe", "#171d27"),
    "ink": ("#1a2332", "#e4e9f1"),
    "muted": ("#5a6577", "#9aa6b8"),
    "line": ("#dde2ea", "#2b3442"),
    "accent": ("#2456c4", "#86acff"),
    "tint": ("#c5d3f2", "#2f4574"),
    "before": ("#7d8798", "#97a2b4"),
    "baseline": ("#b3bac7", "#6f7d93"),
    "seed-tasks": ("#1f7f8c", "#53bdca"),
    "good": ("#15795a", "#55c79b"),
    "bad": ("#c22f2b", "#ff7b74"),
    "warn": ("#9a6206", "#e6ad4d"),
    "kept": ("#2b6bd6", "#5b93f5"),
    "reason-1": ("#e08b1f", "#eba34a"),
    "reason-2": ("#8b63c9", "#a98be0"),
    "reason-3": ("#2f9aa8", "#4fb7c4"),
    "reason-4": ("#cf5d8c", "#e07fa7"),
    "reason-rest": ("#a58e6f", "#b8a387"),
    "malformed": ("#a3abb9", "#6b7687"),
}
"""For light and for dark mode."""
LIGHT = {name: light for name, (light, _) in _COLOURS.items()}
DARK = {name: dark for name, (_, dark) in _COLOURS.items()}
DECISION_COLOUR = {"weak": "bad", "stuck": "warn", "fine": "good", "cooling": "muted", "not enough evidence": "accent"}
"""The colour of a category by its decision, in plots and on pages."""
