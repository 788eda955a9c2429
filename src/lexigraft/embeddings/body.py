"""The network behind a matrix: the layers of its checkpoint, frozen, and what its tokenizer puts around a text."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lexigraft.embeddings.checkpoint import whole_checkpoint
from lexigraft.embeddings.matrix import EmbeddingMatrix
from lexigraft.vocab.tokenizer import Tokenizer


def frozen_body(matrix: EmbeddingMatrix) -> Any:
    """The checkpoint that the rows are of, from token ids to hidden states (of an encoder-decoder the encoder).

    In float32, on the CPU, without dropout or gradients; the global random stream stays where it was. `ValueError`
    where the matrix is of no model.
    """
    from transformers import AutoModel

    folder = whole_checkpoint(matrix)
    # A pooler that the checkpoint lacks is drawn at random, though nobody asks for its output.
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    return model.eval().requires_grad_(False)


def reads_left_to_right(model: Any) -> bool:
    """Whether a token sees only those before it."""
    return any(getattr(module, "is_causal", False) for module in model.modules())


def around(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Ids of the special tokens that the tokenizer puts before and after a text."""
    encoding = tokenizer.backend.encode("a")
    marked = [(i, s) for i, s, a in zip(encoding.ids, encoding.special_tokens_mask, encoding.attention_mask) if a]
    text = [place for place, (_, special) in enumerate(marked) if not special]
    first, last = (text[0], text[-1]) if text else (len(marked), len(marked))
    return [i for i, _ in marked[:first]], [i for i, _ in marked[last + 1 :]]


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No table of missing and unexpected weights (heads and poolers, here of no concern), no progress bar."""
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
