"""The inside of the code sandbox: what runs in the child processes, on the standard library alone.

Belongs here: the layers that take rights away, the wire between the judge and the worker, and the two
programs.
Does not belong here: starting the processes and reading the verdict (`sandbox.py`), or any import of this
project.

The child starts Python without site packages, so these modules import nothing but each other and the standard
library, by relative imports.
"""
