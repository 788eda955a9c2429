import torch

from lexigraft.evaluation.inference import class_probabilities
from lexigraft.models.classifier import Classifier
from lexigraft.models.embedding import TransplantedEmbedding
from lexigraft.models.encoders import Identity
from lexigraft.models.pooling import Mean


def test_probabilities_come_in_the_order_of_the_index():
    torch.manual_seed(0)
    embedding = TransplantedEmbedding(torch.randn(9, 4), pad_id=0, dropout=0.5)
    model = Classifier(embedding, Identity(4), Mean(4), classes=3, head_dropout=0.5).train()
    ids = torch.arange(1, 9)[:, None]
    mask = torch.ones_like(ids, dtype=torch.bool)
    order = [[5, 0, 7], [1], [6, 2, 3, 4]]
    batches = [{"input_ids": ids[i], "mask": mask[i], "index": torch.tensor(i)} for i in order]
    probabilities = class_probabilities(model, batches)
    assert torch.allclose(probabilities, model.eval()(ids, mask).softmax(-1), atol=1e-6)
    assert probabilities.dtype == torch.float32
    assert torch.allclose(probabilities.sum(1), torch.ones(8), atol=1e-6)
