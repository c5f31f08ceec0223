"""Everything that imports Dagster: partitions, resources, asset storage, checks, sensors, schedules, jobs, the driver.

Belongs here: starting and recording work. Does not: deciding which work is worth doing (feedback), or doing it.
"""

import warnings

import dagster as dg

# Partitioned checks are in preview. Without them, a round's check results would replace those of the previous round.
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
