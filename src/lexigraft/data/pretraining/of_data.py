"""The training texts of a labelled data set as a corpus, its labels dropped: for task-adaptive pretraining."""

from lexigraft.data.encoding import vocabulary_texts
from lexigraft.data.pretraining.corpus import Corpus
from lexigraft.data.text_data import TextData


def load(data: TextData) -> Corpus:
    """Every text of train, both of pairs and tagged ones as running text; dev and test are not read.

    Gururangan et al. 2020, Don't Stop Pretraining.
    """
    documents = vocabulary_texts(data.train, data.kind)
    return Corpus(data.name, documents, [], data.language, {"data": data.report, "documents": len(documents)})
