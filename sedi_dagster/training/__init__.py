"""The SFT workload and its signals. It runs in its own process and does not depend on how its rows were chosen.

Belongs here: training on rows, measurements by step and by example.
Does not: composing batches (batching), evaluating the result (evaluation), promoting seeds (feedback).
"""
