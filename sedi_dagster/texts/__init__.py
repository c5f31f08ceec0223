"""Detection of what a model writes besides the requested text, by form alone.

Belongs here: reasoning (`reasoning`), chat-template tokens and control characters (`control`), refusals and
placeholders (`refusals`), and the function that removes the first two (`cleaning`). Pure, linear in the length of the
text, and independent of the caller: teacher, generation, filtering and seed files share the same rules.
"""
