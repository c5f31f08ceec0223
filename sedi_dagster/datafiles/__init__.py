"""Files of texts as people have them: reading their rows, whatever holds them, and the exchange that a row is.

Belongs here: compression, encodings, JSON, CSV, Parquet, Arrow; the shapes of rows in use; problems told with their
place. Does not: what a seed task, an item or a candidate must be (the packages that read such files).
"""

from __future__ import annotations

from sedi_dagster.datafiles.problems import Problem, Problems, checked_text, text_field
from sedi_dagster.datafiles.reading import Limits, read_rows

__all__ = ["Limits", "Problem", "Problems", "checked_text", "read_rows", "text_field"]
