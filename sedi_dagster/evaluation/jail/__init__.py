"""The inside of the code sandbox: what runs in the child processes, using only the standard library.

Belongs here: the layers that remove privileges, the protocol between test runner and worker, and the two programs.
Does not: starting the processes and reading the verdict (`sandbox.py`), or any import of this project.

The child starts Python without site packages, so these modules import only each other, relatively, and the standard
library.
"""
