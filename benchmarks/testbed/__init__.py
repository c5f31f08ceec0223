"""What tests and benchmarks run on in place of services, clusters and models: all of it real, small and on loopback.

Belongs here: servers that can be told to fail, a planted student. Does not: tests, and anything that the product runs.
"""
