"""The SFT workload and its signals. Runs in its own process; independent of how its rows were chosen.

Belongs here: training on rows, measurements by step and example.
Does not: composing batches (batching), evaluating the result (evaluation), promoting seeds (feedback).
"""
