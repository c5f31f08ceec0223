"""The SFT workload and its signals. Runs in its own process; knows nothing of how its rows were chosen.

Belongs here: training rows to weights, what training tells about each step and example.
Does not: composing batches (batching), judging the result (evaluation), who becomes a seed (feedback).
"""
