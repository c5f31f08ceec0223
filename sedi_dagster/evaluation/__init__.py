"""What the student can do: items, verifiers, its answers, and what the numbers allow to be said.

Belongs here: judging answers, intervals, tests, which category is weak. Does not: what to do about it (feedback).
"""
