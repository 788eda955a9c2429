import numpy as np

from lexigraft.transplant.corpus import tokenised


def test_a_corpus_holds_the_ordinary_tokens_of_every_text(wordpiece, corpus):
    made = tokenised(wordpiece, [*corpus, ""])
    roles = [token.role for token in wordpiece.vocabulary]
    expected = [[i for i in ids if roles[i] is None] for ids in wordpiece.encode([*corpus, ""])]
    assert [ids.tolist() for ids in made] == expected
    assert made.ids.dtype == np.int32
    assert made.counts.tolist() == np.bincount(made.ids, minlength=len(roles)).tolist()


def test_a_corpus_does_not_depend_on_how_many_texts_are_taken_at_a_time(wordpiece, corpus, monkeypatch):
    whole = tokenised(wordpiece, corpus)
    monkeypatch.setattr("lexigraft.transplant.corpus._TEXTS_AT_A_TIME", 3)
    parts = tokenised(wordpiece, corpus)
    assert np.array_equal(whole.ids, parts.ids)
    assert np.array_equal(whole.start, parts.start)


def test_no_texts_make_an_empty_corpus(wordpiece):
    made = tokenised(wordpiece, [])
    assert (len(made.ids), made.start.tolist(), int(made.counts.sum())) == (0, [0], 0)
