"""What a metric's name says of it: per cent or raw, how many decimals, and whether more or less of it is better.

Names are "<split>/<metric>", "<split>/<task>/<metric>" of an auxiliary task, "seconds/<part>", "counts/<what>" and
"speed/<what>".
"""

from dataclasses import dataclass

# Of a test's or a class's hits, within 0 to 1: shown in per cent.
SHARES = {
    "accuracy": "accuracy", "f1": "F1", "macro_f1": "macro F1",
    "micro_f1": "micro F1", "precision": "precision", "recall": "recall", "macro_precision": "macro precision",
    "macro_recall": "macro recall", "exact_match": "exact match", "average_precision": "mAP", "roc_auc": "ROC-AUC",
    "replaced_accuracy": "replaced accuracy",
}  # fmt: skip
# Not shares, though more of them is better: they may be below 0.
AGREEMENTS = {"r2": "R²", "pearson": "Pearson's r", "spearman": "Spearman's rho", "quadratic_kappa": "quadratic kappa"}
LOSSES = {
    "loss": "loss", "mse": "MSE", "mae": "MAE", "bits_per_byte": "bits per byte", "replaced_loss": "replaced loss",
}  # fmt: skip
COUNTS = ("count", "texts", "without_tag", "entities", "support")


@dataclass(frozen=True)
class Metric:
    """How the values of a metric are shown and compared."""

    name: str
    label: str  # "accuracy", "dev macro F1"; the split is left out where it is the test's
    percent: bool = False
    decimals: int = 4
    unit: str = ""  # "%", "s" or nothing
    higher_is_better: bool | None = None  # None: neither, no value is marked as the best

    def scaled(self, value: float) -> float:
        """The value as it is shown: times 100 for a share."""
        return 100 * value if self.percent else value

    def text(self, value: float | None, sign: bool = False) -> str:
        """The value in the metric's decimals, without its unit; "–" for none; with `sign`, also a plus."""
        if value is None:
            return "–"
        return f"{self.scaled(value):{'+' if sign else ''},.{self.decimals}f}"


def metric(name: str) -> Metric:
    """What is known of a metric; one of an unknown name is shown raw, and none of its values is the best."""
    split, _, rest = name.partition("/")
    if split == "seconds":
        return Metric(name, f"seconds ({rest})", decimals=1, unit="s", higher_is_better=False)
    if split == "counts":
        decimals = 1 if rest.startswith("tokens_per_text") else 0
        return Metric(name, rest.replace("/", " ").replace("_", " "), decimals=decimals)
    if split == "speed" and rest.endswith("_per_second"):
        return Metric(name, rest.replace("_", " "), higher_is_better=True, decimals=0)
    task, _, key = rest.rpartition("/")
    where = " ".join(part for part in ("" if split == "test" else split, task) if part)
    for names, described in (
        (SHARES, {"percent": True, "decimals": 1, "unit": "%", "higher_is_better": True}),
        (AGREEMENTS, {"decimals": 3, "higher_is_better": True}),
        (LOSSES, {"decimals": 4, "higher_is_better": False}),
    ):
        if key in names:
            return Metric(name, f"{where} {names[key]}".strip(), **described)
    return Metric(name, f"{where} {key.replace('_', ' ')}".strip() or name, decimals=0 if key in COUNTS else 4)
