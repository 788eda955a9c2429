import os

# Two test processes share two cores; and one thread gives the same numbers on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["tests.fixtures.tokenizers", "tests.fixtures.checkpoints", "tests.fixtures.task"]
