from lexigraft.data.pretraining import of_data
from lexigraft.data.text_data import Split, TextData


def test_a_corpus_is_train_alone_without_labels() -> None:
    data = TextData("d", Split(["a", "b"], [0, 1], ["c", "e"]), Split(["x"], [0]), Split(["y"], [1]), ("0", "1"), "en",
                    {"read": 4})  # fmt: skip
    corpus = of_data.load(data)
    assert (corpus.name, corpus.train, corpus.dev, corpus.language) == ("d", ["a", "b", "c", "e"], [], "en")
    assert corpus.report == {"data": {"read": 4}, "documents": 4}


def test_tagged_texts_are_read_as_they_are_written() -> None:
    data = TextData("t", Split(["我 爱 Tom"], [(0, 0, 0)]), Split([], []), Split([], []), ("O",), "zh", {}, "tags")
    assert of_data.load(data).train == ["我爱Tom"]
