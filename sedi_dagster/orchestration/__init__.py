"""Everything that imports Dagster: partitions, resources, asset storage, checks, sensors, schedules, jobs, the driver.

Belongs here: starting work and recording it. Does not: deciding which work is worth doing (feedback) or doing it.
"""

import warnings

import dagster as dg

# Checks on partitions are in preview; without them a round's checks would hide those of the round before.
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
