"""The student: loading it, its chat template, losses by row, memory. Training and answering are elsewhere."""
