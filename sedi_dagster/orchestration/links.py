"""Addresses of pages and plots, as the UI serves them beside itself (`webserver`)."""

import dagster as dg

from sedi_dagster.storage.store import Store

PAGES = "/sedi"


def page_url(name: str) -> str:
    """Of a report: the name of its round, or `index`, or `morning`."""
    return f"{PAGES}/reports/{name}.html"


def plot(store: Store, png: bytes, *parts: str) -> dg.MarkdownMetadataValue:
    """Keep a plot as a file of the data folder, `plots/<asset>/<partition>/<name>.png`; the UI shows it in place."""
    *folders, name = parts
    store.write_bytes(png, "plots", *folders, f"{name}.png")
    return dg.MetadataValue.md(f"![{name.replace('_', ' ')}]({PAGES}/plots/{'/'.join(parts)}.png)")
