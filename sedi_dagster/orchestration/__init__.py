"""Everything that knows Dagster: partitions, resources, asset storage, checks, sensors, schedules, jobs, the driver.

Belongs here: starting work and recording it. Does not: deciding what work is worth doing (feedback) or doing it.
"""
