"""What a model writes besides what it was asked for, told by its form alone.

Belongs here: reasoning (`reasoning`), marks of a chat template and control characters (`control`), answers that are
none (`refusals`), and the one function that takes the first two off a text (`cleaning`). Pure, linear in the length of
the text, and without knowledge of who asks: teacher, generation, filtering and seed files read the same rules.
"""
