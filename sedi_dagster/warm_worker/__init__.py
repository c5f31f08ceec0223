"""A fork server for workloads: torch, transformers and trl are imported once, and each job is a fork of that process.

Importing them takes 5 to 10 s, and a round starts several workloads. `client.py` stands in the place of
`python -m MODULE`: it hands the job to the server and behaves as the job does. `server.py` imports and forks;
`address.py` says which server fits a process, and starts it. Where there is none, the client becomes the plain
command. Linux without a GPU only: CUDA, once a library has touched it, does not survive a fork.

Does not belong here: what a workload does (it runs as it does by hand), and when one is run (orchestration).
"""
