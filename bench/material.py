"""What the benchmarks that start runs let them train on: two separable classes of short texts, made up."""

from pathlib import Path

import numpy as np


def material(
    folder: Path,
    *,
    train: int,
    dev: int = 60,
    test: int = 60,
    characters: tuple[int, int] = (2, 12),
    rows: int = 60,
    width: int = 16,
) -> list[str]:
    """Write so many texts, and vectors of their characters; the words by which `lexigraft train` takes them.

    A text has one of the numbers of `characters`, the last left out, and one more, which tells its class. `rows`: how
    many characters there are.
    """
    draw = np.random.default_rng(0)
    known = [chr(0x4E00 + i) for i in range(rows)]
    telling_nothing = np.array(known[10:])
    for name, size in {"train": train, "dev": dev, "test": test}.items():
        lines = ["label\ttext"]
        for i in range(size):
            text = draw.choice(telling_nothing, int(draw.integers(*characters))).tolist()
            text.append(known[int(draw.integers(0, 5)) + 5 * (i % 2)])
            lines.append(f"{i % 2}\t{''.join(text)}")
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    np.savez(folder / "vectors.npz", vectors=draw.normal(size=(len(known), width)).astype(np.float32))
    (folder / "vocab.txt").write_text("\n".join(known) + "\n", encoding="utf-8")
    return [
        "data=files", f"data.root={folder}", "data.train=train.tsv", "data.dev=dev.tsv", "data.test=test.tsv",
        "data.drop_shared=false", "source=npz", "source.path=vectors.npz", "source.vocabulary=vocab.txt",
        "trainer.progress=false",
    ]  # fmt: skip


def said(folder: Path, outputs: str) -> str:
    """The end of what the processes of these outputs printed into `<outputs>.txt`."""
    return (folder / f"{outputs}.txt").read_text(encoding="utf-8")[-5000:]
