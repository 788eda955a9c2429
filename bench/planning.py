"""Seconds to plan a study of 10,000 cells, against Hydra's composition and the preflight of each cell alone.

python bench/planning.py             # 10 models x 10 learning rates x 100 seeds
python bench/planning.py --small
"""

import argparse
import random
import time

from lexigraft.config.compose import loader
from lexigraft.studies.composing import composed
from lexigraft.studies.plan import plan
from lexigraft.studies.study import Study

MODELS = ["textcnn", "rcnn", "bilstm", "bigru", "dpcnn", "fasttext", "mean_pool", "transformer", "pretrained"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="12 cells, to see that it runs")
    small = parser.parse_args().small
    # `bilstm` twice, of two widths: ten models.
    models = {name: [f"model={name}"] for name in MODELS} | {"wide": ["model=bilstm", "model.encoder.hidden=512"]}
    axes = {
        "network": dict(list(models.items())[:2]) if small else models,
        "optimizer.lr": [i / 10_000 for i in range(1, 3 if small else 11)],
        "seed": list(range(3 if small else 100)),
    }
    study = Study(axes=axes, base=["data=trec", "trainer.epochs=3"], name="planning")
    with loader():
        composed("train", [])  # imports what the first check needs, for both
    start = time.perf_counter(), time.process_time()
    cells = plan(study)
    wall, busy = time.perf_counter() - start[0], time.process_time() - start[1]

    sample = random.Random(0).sample(cells, min(100, len(cells)))
    start = time.perf_counter(), time.process_time()
    with loader():
        alone = [composed("train", cell.overrides) for cell in sample]
    slow, slow_busy = (
        (now - then) / len(sample) * len(cells) for now, then in zip((time.perf_counter(), time.process_time()), start)
    )
    assert alone == [cell.values for cell in sample]

    print(f"{len(cells):,} cells{'seconds':>20}{'of processor':>16}")
    print(f"{'planned':<14}{wall:>14.1f}{busy:>16.1f}    target < 30")
    print(f"{'each alone':<14}{slow:>14.1f}{slow_busy:>16.1f}    reckoned from {len(sample)}")
    print(f"ratio {slow_busy / busy:.0f}x")


if __name__ == "__main__":
    main()
