"""Two texts, two labels, one step: a checkpoint's layers over its own word rows, with a new head.

python examples/quick.py bert-base-chinese    # or the folder of any transformers checkpoint
"""

import sys

import torch

from lexigraft.data.batches import EncodedText
from lexigraft.data.encoded import Encoded
from lexigraft.embeddings.checkpoint import read_checkpoint, whole_checkpoint
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.pooling import First
from lexigraft.models.pretrained import Pretrained, load_backbone

source = read_checkpoint(sys.argv[1])  # rows, and the tokenizer that they belong to
config, weights = load_backbone(whole_checkpoint(source))
encoder = Pretrained(source.dim, config=config)
encoder.load_backbone(weights)
embedding = TransplantedEmbedding(source.rows, source.tokenizer.pad_id)
model = Classifier(embedding, encoder, First(encoder.width), {"main": Head(2)}).eval()
ids = Encoded.of(source.tokenizer.encode(["房间干净，服务很好", "又吵又脏，不会再来"]))
batch = EncodedText(ids, [1, 0], pad_id=source.tokenizer.pad_id).__getitems__([0, 1])
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
for step in "before", "after":
    loss = torch.nn.functional.cross_entropy(model(batch["input_ids"], batch["mask"]), batch["labels"])
    print(f"loss {loss.item():.4f} {step} the step")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
