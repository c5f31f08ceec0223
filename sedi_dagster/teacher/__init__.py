"""The teacher: calls that are never lost, repeated or overspent.

Belongs here: the client (`client`), how a request is written (`rendering`) and an answer read (`answers`), the
ledger of all calls (`ledger`), money (`budget`), pace (`limiter`), the bundled model's server (`local_server`).
Does not belong here: what is asked (generation/) and what an answer is good for (filtering/). Nothing here
imports Dagster. Start with `open.open_teacher`.
"""
