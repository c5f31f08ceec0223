"""Generation of candidates from seed tasks with the teacher.

Belongs here: prompts, parsing, the order of calls. Does not: paying for and storing calls (teacher), deciding which
candidates to keep (filtering).
"""
