import warnings

import pytest


@pytest.fixture
def no_warning():
    """A missing glyph or a squeezed layout is a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
