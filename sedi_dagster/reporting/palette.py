"""The colours, by role. Plots are drawn in the light ones; pages swap these for CSS variables so named."""

from __future__ import annotations

LIGHT = {
    "page": "#f6f7f9",
    "surface": "#fffffe",
    "ink": "#1a2332",
    "muted": "#5a6577",
    "line": "#dde2ea",
    "accent": "#2456c4",
    "tint": "#c5d3f2",
    "before": "#7d8798",
    "baseline": "#b3bac7",
    "seed-tasks": "#1f7f8c",
    "good": "#15795a",
    "bad": "#c22f2b",
    "warn": "#9a6206",
    "kept": "#2b6bd6",
    "reason-1": "#e08b1f",
    "reason-2": "#8b63c9",
    "reason-3": "#2f9aa8",
    "reason-4": "#cf5d8c",
    "reason-rest": "#a58e6f",
    "malformed": "#a3abb9",
}
DARK = {
    "page": "#0f141b",
    "surface": "#171d27",
    "ink": "#e4e9f1",
    "muted": "#9aa6b8",
    "line": "#2b3442",
    "accent": "#86acff",
    "tint": "#2f4574",
    "before": "#97a2b4",
    "baseline": "#6f7d93",
    "seed-tasks": "#53bdca",
    "good": "#55c79b",
    "bad": "#ff7b74",
    "warn": "#e6ad4d",
    "kept": "#5b93f5",
    "reason-1": "#eba34a",
    "reason-2": "#a98be0",
    "reason-3": "#4fb7c4",
    "reason-4": "#e07fa7",
    "reason-rest": "#b8a387",
    "malformed": "#6b7687",
}
DECISION_COLOUR = {"weak": "bad", "stuck": "warn", "fine": "good", "cooling": "muted", "not enough evidence": "accent"}
"""How a category's decision is coloured, in plots and on the page."""
