"""Readers for data files in common formats; a row becomes an exchange.

Belongs here: compression, encodings, JSON, CSV, Parquet, Arrow; common row formats; problems reported with their
location. Does not: requirements on seed tasks, items or candidates (in the packages that read such files).
"""

from sedi_dagster.datafiles.problems import Problem, Problems, checked_text
from sedi_dagster.datafiles.reading import Limits, read_rows

__all__ = ["Limits", "Problem", "Problems", "checked_text", "read_rows"]
