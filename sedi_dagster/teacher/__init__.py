"""The teacher's client: no call is lost, repeated or overspent.

Belongs here: the client (`client`), rendering of requests (`rendering`) and reading of answers (`answers`), the ledger
of all calls (`ledger`), the budget (`budget`), rate limiting (`limiter`), the bundled model's server (`local_server`).
Does not: what is requested (generation) and what an answer is worth (filtering). Nothing here imports Dagster. Start
with `open.open_teacher`.
"""
