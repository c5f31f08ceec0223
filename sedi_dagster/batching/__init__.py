"""Which examples are trained together: embedding, the example table, composition of batches.

Belongs here: vectors, clusters, the order of training rows. Does not: which candidates are kept (filtering).
"""
