pytest_plugins = ["tests.fixtures.tokenizers", "tests.fixtures.checkpoints"]
