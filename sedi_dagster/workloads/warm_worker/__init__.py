"""A fork server for workloads: it imports torch, transformers and trl once, and forks for each job.

These imports take 5 to 10 s, and a round starts several workloads. `client.py` replaces `python -m MODULE`: it passes
the job to the server and behaves like the job. `server.py` imports and forks. `address.py` finds the server that is
compatible with a process, or starts one. Without a server, the client executes the plain command. Linux only, without a
GPU or with an NVIDIA GPU: the server refuses to run if a library has initialized CUDA (bitsandbytes does), because a
fork cannot use it.

Does not belong here: what a workload does, and when it is run (orchestration).
"""
