"""Everything that knows Dagster: partitions, resources, storage of assets, checks, sensors, schedules, jobs, the driver.

Belongs here: starting work and recording it. Does not: deciding what work is worth doing (feedback) or doing it.
"""
