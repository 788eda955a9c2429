"""Labelled texts from a data set of the Hugging Face hub, or from a local folder that `datasets` reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lexigraft.data.files import require_columns
from lexigraft.data.splits import Table, arrange, clean
from lexigraft.data.text_data import TextData
from lexigraft.hub import resolve


def load(
    *,
    name: str,
    root: str | None = None,
    config: str | None = None,
    train: str = "train",
    dev: str | None = "validation",
    test: str | None = "test",
    text: str = "text",
    label: str = "label",
    second: str | None = None,
    language: str = "zh",
    classes: Sequence[str] | None = None,
    kind: str = "class",
    dev_share: float = 0.1,
    fold: int = 0,
    folds: int = 10,
    stratified: bool = False,
    split_seed: int | None = None,
    drop_shared: bool = True,
) -> TextData:
    """The data set `name`, a folder (also one under `root`) or a hub name; `config` is its configuration there.

    Without dev or test they are made from train, see `splits.arrange`. A `ClassLabel` column gives the classes' names
    and order. `second` names the column of the second text of pairs, `kind` what the labels are. `ValueError` for
    splits, columns and labels that are not there.
    """
    import datasets  # here, because it takes 1.2 s

    in_root = Path(root or "").expanduser() / name
    folder = in_root if in_root.is_dir() else resolve(name, kind="dataset")
    if folder.is_file():
        raise ValueError(f"data.name={name} is a file; data=files reads files, data=hf a folder or a hub name")
    try:
        loaded = datasets.load_dataset(str(folder), name=config)
    except (ValueError, FileNotFoundError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"data set {name} cannot be read, check data.name and data.config: {reason}") from error
    tables: dict[str, Table | None] = {}
    for role, split in {"train": train, "dev": dev, "test": test}.items():
        if split is not None and split not in loaded:
            raise ValueError(
                f"data set {name} has no split {split!r}; set data.{role}= to one of: {', '.join(loaded)}, or (dev "
                "and test) to null"
            )
        columns = {"text": text, "label": label} | ({"second": second} if second else {})
        tables[role] = _table(name, role, loaded[split], columns, kind) if split is not None else None
    return arrange(
        name,
        language,
        tables,
        kind=kind,
        labels=None if kind == "number" else _class_names(loaded[train].features[label]),
        classes=classes,
        dev_share=dev_share,
        fold=fold,
        folds=folds,
        stratified=stratified,
        split_seed=split_seed,
        drop_shared=drop_shared,
    )


def _table(name: str, role: str, rows: Any, columns: dict[str, str], kind: str) -> Table:
    """The cleaned rows of one split; labels are class names where the column has them."""
    where = f"data set {name}, split {rows.split}"
    require_columns(where, rows.column_names, **columns)
    label = columns["label"]
    labels = list(rows[label])
    names = _class_names(rows.features[label])
    hidden = (None,) if kind == "number" else (None, -1)
    if all(not isinstance(value, list) and value in hidden for value in labels):
        raise ValueError(
            f"{where}: no row has a label (benchmarks hide those of their test set); set data.{role}=null to take "
            "that part from train"
        )
    if names is not None and kind != "number":
        labels = [_named(value, names) for value in labels]
    texts = [list(rows[column]) for key, column in columns.items() if key != "label"]
    return clean(zip(texts[0], labels, *texts[1:]), where, kind)


def _class_names(feature: Any) -> Sequence[str] | None:
    """The names of a column of classes, or of lists of classes."""
    return getattr(getattr(feature, "feature", feature), "names", None)


def _named(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [names[i] for i in value]
    return None if value is None or value == -1 else names[value]
