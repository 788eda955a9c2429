import torch

from lexigraft.data.batches import NOT_COUNTED
from lexigraft.models.classifier import Classifier, Head
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Identity
from lexigraft.models.pooling import Mean
from lexigraft.tasks.classification import Classification
from lexigraft.tasks.inference import Seen, predictions
from lexigraft.tasks.losses import CrossEntropy


def test_scores_come_in_the_order_of_the_index():
    torch.manual_seed(0)
    embedding = TransplantedEmbedding(torch.randn(9, 4), pad_id=0, dropout=0.5)
    model = Classifier(embedding, Identity(4), Mean(4), {"main": Head(3)}, head_dropout=0.5).train()
    task = Classification(loss=CrossEntropy(), classes=("a", "b", "c"), train=[0, 1, 2])
    ids = torch.arange(1, 9)[:, None]
    mask = torch.ones_like(ids, dtype=torch.bool)
    order = [[5, 0, 7], [1], [6, 2, 3, 4]]
    batches = [
        {"input_ids": ids[i], "mask": mask[i], "index": torch.tensor(i), "labels": torch.tensor(i) % 3, "task": "main"}
        for i in order
    ]
    scores, labels, lengths = predictions(model, task, batches, torch.device("cpu"))
    assert torch.allclose(scores, model.eval()(ids, mask).softmax(-1), atol=1e-6)
    assert labels.tolist() == [i % 3 for i in range(8)]
    assert lengths is None
    assert scores.dtype == torch.float32
    assert torch.allclose(scores.sum(1), torch.ones(8), atol=1e-6)


def test_of_tokens_only_those_that_count_are_kept_text_after_text():
    seen = Seen(per_token=True)
    no = NOT_COUNTED
    for index, labels in ([2, 0], [[4, no, 5], [1, no, no]]), ([1], [[no, 2]]):
        labels = torch.tensor(labels)
        seen.add(labels[..., None].float(), {"labels": labels, "index": torch.tensor(index)})
    scores, labels, lengths = seen.in_order()
    assert labels.tolist() == scores[:, 0].tolist() == [1, 2, 4, 5]
    assert lengths.tolist() == [1, 1, 2]
