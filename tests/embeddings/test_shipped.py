"""The model that comes with lexigraft: its size, its vocabulary, and that it has learned something."""

import math
from pathlib import Path

import pytest
import torch

from lexigraft.embeddings.checkpoint import whole_checkpoint
from lexigraft.embeddings.shipped import read_shipped

REVIEWS = ["房间很干净，服务员的态度也很好。", "这本书的内容很一般，不值得买。", "中国政府将继续加强同各国的友好合作。"]


@pytest.fixture(scope="module")
def tiny_zh():
    return read_shipped("tiny_zh")


def test_it_is_small_and_reads_common_characters(tiny_zh):
    assert tiny_zh.rows.shape[1] == 128
    assert tiny_zh.rows.dtype == torch.float16
    assert tiny_zh.origin["name"] == "tiny_zh"
    folder = whole_checkpoint(tiny_zh)
    assert (folder / "model.safetensors").stat().st_size <= 9_000_000
    assert (folder / "README.md").is_file()
    unknown = tiny_zh.tokenizer.working_copy.token_to_id("[UNK]")
    assert all(unknown not in ids for ids in tiny_zh.tokenizer.encode(REVIEWS))


@pytest.mark.filterwarnings("error")
def test_transformers_opens_it_and_it_says_hidden_characters(tiny_zh):
    """Of each character alone hidden in sentences it has not read: far below the loss of a guess by frequency."""
    from transformers import AutoModelForMaskedLM

    folder = Path(whole_checkpoint(tiny_zh))
    model, loading = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    mask = tiny_zh.tokenizer.working_copy.token_to_id("[MASK]")
    losses = []
    for ids in map(torch.tensor, tiny_zh.tokenizer.encode(REVIEWS)):
        places = torch.arange(1, len(ids) - 1)
        hidden = ids.repeat(len(places), 1)
        hidden[torch.arange(len(places)), places] = mask
        with torch.no_grad():
            logits = model.eval()(input_ids=hidden).logits[torch.arange(len(places)), places]
        losses += torch.nn.functional.cross_entropy(logits, ids[places], reduction="none").tolist()
    assert sum(losses) / len(losses) < math.log(len(tiny_zh.rows)) / 2


def test_another_name_is_refused():
    with pytest.raises(FileNotFoundError, match=r"no model 'tiny_en' comes with lexigraft, which has: tiny_zh$"):
        read_shipped("tiny_en")
