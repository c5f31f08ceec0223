"""Turning seed tasks into candidates with the teacher's help.

Belongs here: prompts, parsing what the teacher wrote, the order of calls. Does not: how a call is paid and kept
(teacher), which candidate is worth keeping (filtering).
"""
