"""Fine-tuning on a GPU: lexigraft's `fit` against a hand-written loop and transformers.Trainer, and what options cost.

    python bench/gpu.py                        # on a CUDA GPU
    python bench/gpu.py --device cpu --small   # seconds, to see that it runs; the figures mean nothing

A backbone of BERT-base's size with random weights, AdamW (fused), gradients clipped to 1, bf16-mixed, compiled; texts
of the lengths of reviews, 64 a batch. The loop is compiled too and gets the very batches that lexigraft trains on.
Trainer is as it comes but for batch, rate, decay and bf16: texts in random order, padded to the longest of a batch, not
compiled; it is left out where accelerate is not installed. "all rows" is lexigraft without training on the active rows
alone, "deterministic" with hardware.deterministic=true.

The sides take turns, a block of training each, of which the first batches are not timed; a ratio is the median over the
rounds of the ratio within a round. MFU counts what the model needs for the texts of a block with every row, whichever
side trains it. Memory is what tensors take at most. Then the same with an embedding of XLM-R's size, under the backbone
and alone under a mean: all rows against those that texts use.
"""

import gc
import importlib.util
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import active
import numpy as np
import torch
from backbone import Backbone, bert, classifier, lexigraft_seconds, like_reviews, loop_seconds, trainer_seconds
from sides import now, options, ratio, use_threads, verdict

from lexigraft.data.batches import BucketedBatches, EncodedText
from lexigraft.training.hardware import apply
from lexigraft.training.observing.flops import peak_flops, training_flops

LEAST = {"loop": 0.97, "Trainer": 1.3}
Side = Callable[[list[list[int]]], float]


@dataclass(frozen=True)
class Sizes:
    """How much is trained: so many `batches` in each of so many `rounds`, those that warm up not counted."""

    backbone: Backbone
    texts: int = 9_600
    batches: int = 100
    rounds: int = 3
    xlm_rows: int = 250_002
    xlm_used: int = 9_000


WHOLE = Sizes(Backbone(30_522, 768, 12, batch=64, precision="bf16-mixed", warm_up=20))
SMALL = Sizes(Backbone(300, 24, 1, batch=4, precision="bf16-mixed", warm_up=1), 60, 2, 1, 3_000, 100)


@dataclass
class Found:
    """Of each round: seconds, and bytes at most (None without a GPU)."""

    seconds: list[float]
    peak: list[int | None]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batches", type=int, help="in each block")
    arguments = parser.parse_args()
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # Trainer would train on every GPU
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("not measured: there is no CUDA GPU here (--device cpu --small shows that it runs)")
        return
    use_threads(arguments.cpu_time)
    # For "deterministic", and before the first use of the GPU: cuBLAS gives equal bits only with such a workspace.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    sizes = SMALL if arguments.small else WHOLE
    sizes = replace(
        sizes,
        backbone=replace(sizes.backbone, device=arguments.device, compiled=arguments.device == "cuda"),
        batches=arguments.batches or sizes.batches,
        rounds=arguments.rounds or sizes.rounds,
    )
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else "the CPU"
    print(f"{name}, torch {torch.__version__}, {sizes.backbone.precision}")
    _switch(sizes.backbone, False)
    fine_tuning(sizes, arguments.small)
    xlm_roberta(sizes)


def fine_tuning(sizes: Sizes, small: bool) -> None:
    """BERT-base: lexigraft, the loop, Trainer."""
    how = sizes.backbone
    texts = _texts(sizes, min(4_500, how.rows))
    sides = _lexigraft(how, texts)
    sides["loop"] = partial(loop_seconds, how, bert(how), texts)
    if importlib.util.find_spec("accelerate") is not None:  # Trainer needs it, lexigraft does not
        sides["Trainer"] = partial(trainer_seconds, how, bert(how), texts)
    sides["deterministic"] = partial(_deterministic, how, sides["lexigraft"])
    found = _table(sizes, texts, sides)
    seconds = {name: of.seconds for name, of in found.items()}
    for name, least in LEAST.items():
        if name in seconds:
            verdict(f"lexigraft / {name}", ratio(seconds[name], seconds["lexigraft"]), least, small)
    verdict("all rows / loop", ratio(seconds["loop"], seconds["lexigraft, all rows"]), LEAST["loop"], small)
    print(f"{'deterministic takes':22}{ratio(seconds['deterministic'], seconds['lexigraft']):8.3f}x the time")


def xlm_roberta(sizes: Sizes) -> None:
    """An embedding of XLM-R's size: active rows against all, with a backbone, and alone."""
    how = replace(sizes.backbone, rows=sizes.xlm_rows)
    texts = _texts(sizes, sizes.xlm_used)
    print()
    found = _table(replace(sizes, backbone=how), texts, _lexigraft(how, texts))
    few, every = found["lexigraft"], found["lexigraft, all rows"]
    print(f"active rows: {ratio(every.seconds, few.seconds):.2f}x less time{_less_memory(every.peak, few.peak)}")
    _forget()
    took = active.seconds(sizes.xlm_rows, how.width, sizes.xlm_used, 20, how.device, now)
    peaks = {way: _peak_of_the_embedding(sizes, way) for way in active.WAYS}
    print("the embedding alone, a step: ", end="")
    print(f"full {1e3 * took['full']:.2f} ms   active {1e3 * took['active']:.2f} ms   ", end="")
    print(f"{took['full'] / took['active']:.2f}x less time{_less_memory([peaks['full']], [peaks['active']])}")


def _lexigraft(how: Backbone, texts: EncodedText) -> dict[str, Side]:
    start = bert(how)
    return {
        "lexigraft": partial(lexigraft_seconds, how, start, texts, True),
        "lexigraft, all rows": partial(lexigraft_seconds, how, start, texts, False),
    }


def _deterministic(how: Backbone, side: Side, batches: list[list[int]]) -> float:
    """Seconds of a side with hardware.deterministic=true."""
    _switch(how, True)
    try:
        return side(batches)
    finally:
        _switch(how, False)


def _switch(how: Backbone, deterministic: bool) -> None:
    """Set torch's switches as a run does."""
    accelerator = "gpu" if how.device == "cuda" else how.device
    threads = torch.get_num_threads()
    apply(threads=threads, precision=how.precision, accelerator=accelerator, deterministic=deterministic)


def _texts(sizes: Sizes, rows: int) -> EncodedText:
    return EncodedText(*like_reviews(sizes.texts, 40 if sizes.texts < 1_000 else 512, rows), pad_id=0)


def _table(sizes: Sizes, texts: EncodedText, sides: dict[str, Side]) -> dict[str, Found]:
    """Train in turns, and print a line for each side."""
    how = sizes.backbone
    lengths = texts.encoded.lengths()
    epoch = [each for each in BucketedBatches(lengths, how.batch, seed=0).batches(0) if len(each) == how.batch]
    found = {name: Found([], []) for name in sides}
    timed: list[list[int]] = []  # of each round
    length = how.warm_up + sizes.batches
    for block in range(sizes.rounds):
        batches = [epoch[i % len(epoch)] for i in range(block * length, (block + 1) * length)]
        timed.append([i for batch in batches[how.warm_up :] for i in batch])
        for name, side in sides.items():
            _forget()
            found[name].seconds.append(side(batches))
            found[name].peak.append(torch.cuda.max_memory_allocated() if how.device == "cuda" else None)
    used = len(np.unique(texts.encoded.ids))
    print(f"{how.rows:,} rows, {used:,} used, x {how.width}, {how.layers} layers; ", end="")
    print(f"{sizes.batches} batches of {how.batch} texts, {lengths.mean():.0f} tokens on average")
    print(f"{'':22}{'ms a step':>10}{'texts/s':>10}{'tokens/s':>11}{'MFU':>8}{'peak GB':>9}{'lexigraft is':>15}")
    flops = training_flops(classifier(how, bert(how), None))
    peak = peak_flops(torch.cuda.get_device_name(), how.precision) if how.device == "cuda" else None
    done = [flops.of(len(of), lengths[of].sum(), float((lengths[of].astype(float) ** 2).sum())) for of in timed]
    for name, of in found.items():
        step = 1e3 * statistics.median(of.seconds) / sizes.batches
        rate = statistics.median(len(t) / s for t, s in zip(timed, of.seconds))
        tokens = statistics.median(lengths[t].sum() / s for t, s in zip(timed, of.seconds))
        mfu = "-" if peak is None else f"{statistics.median(d / s for d, s in zip(done, of.seconds)) / peak:.1%}"
        most = "-" if of.peak[0] is None else f"{max(filter(None, of.peak)) / 1e9:.2f}"
        beside = ratio(of.seconds, found["lexigraft"].seconds)
        print(f"{name:22}{step:10.2f}{rate:10.1f}{tokens:11,.0f}{mfu:>8}{most:>9}{beside:14.3f}x", flush=True)
    return found


def _peak_of_the_embedding(sizes: Sizes, way: str) -> int | None:
    """Bytes that three steps of it take at most."""
    how = sizes.backbone
    _forget()
    training = active.Training(sizes.xlm_rows, how.width, sizes.xlm_used, way, how.device)
    for step in range(3):
        training.step(*training.batch(step))
    return torch.cuda.max_memory_allocated() if how.device == "cuda" else None


def _forget() -> None:
    """Give back what the side before took, also what was compiled for it, of which torch keeps only a few."""
    gc.collect()
    torch.compiler.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _less_memory(much: Sequence[int | None], little: Sequence[int | None]) -> str:
    pairs = [(a, b) for a, b in zip(much, little) if a is not None and b is not None]
    return f", {statistics.median(a / b for a, b in pairs):.2f}x less memory" if pairs else ""


if __name__ == "__main__":
    main()
