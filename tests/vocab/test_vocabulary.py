"""Vocabulary: roles, fingerprint, lookup by bytes."""

from lexigraft.vocab.vocabulary import Token, Vocabulary, first_ids


def test_words_start_words_and_play_roles():
    vocabulary = Vocabulary.of_words(["<unk>", "中国", "the"], {"<unk>": "unk"})
    assert vocabulary[0].role == "unk"
    assert vocabulary[1] == Token("中国".encode(), True)
    assert vocabulary.roles == {"unk": 0}
    assert len(vocabulary) == len(list(vocabulary)) == 3


def test_further_roles_come_after_a_token_of_its_own():
    tokens = (Token(b"<s>", None, "eos"), Token(b"", None, "unused"), Token(b"<b>", None, "bos"))
    assert Vocabulary(tokens, further_roles=(("bos", 0), ("pad", 0))).roles == {"eos": 0, "bos": 2, "pad": 0}


def test_fingerprint_tells_order_flag_and_role_apart():
    a, b = Token(b"a", True), Token(b"b", True)
    variants = [
        Vocabulary((a, b)),
        Vocabulary((b, a)),
        Vocabulary((a, Token(b"b", False))),
        Vocabulary((a, Token(b"b", True, "unk"))),
        Vocabulary((a, Token(b"b", True, byte_fallback=True))),
        Vocabulary((a, b), further_roles=(("bos", 0),)),
    ]
    assert len({v.fingerprint() for v in variants}) == len(variants)
    assert Vocabulary((a, b)).fingerprint() == Vocabulary((a, b), normalize=str.lower).fingerprint()


def test_first_ids_prefer_a_real_token_to_a_byte():
    tokens = (Token(b"A", False, byte_fallback=True), Token(b"A", False), Token(b"A", False), Token(b"x", None, "unk"))
    assert first_ids(tokens) == {(b"A", False): 1}
