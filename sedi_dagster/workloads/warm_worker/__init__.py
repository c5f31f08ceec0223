"""A fork server for workloads: torch, transformers and trl are imported once, and each job is a fork of that process.

Importing them takes 5 to 10 s, and a round starts several workloads. `client.py` replaces `python -m MODULE`: it passes
the job to the server and behaves like the job. `server.py` imports and forks; `address.py` finds the server that fits a
process, or starts it. Without a server, the client becomes the plain command. Linux only, without a GPU or with one of
NVIDIA's: a server declines if a library has initialised CUDA (bitsandbytes does), which does not survive a fork.

Does not belong here: what a workload does, and when one is run (orchestration).
"""
