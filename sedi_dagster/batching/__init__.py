"""Training batches: embeddings, the table of examples, batch composition.

Belongs here: embeddings, clusters, the order of training rows. Does not: which candidates are kept (filtering).
"""
