"""Evaluation of the student: items, verifiers, answers, and statistics.

Belongs here: judging answers, confidence intervals, tests, which category is weak. Does not: what to do about a weak
category (feedback).
"""
