"""Some layers, and what name patterns match."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from lexigraft.models.classifier import Classifier
from lexigraft.models.stages import WORD_ROWS, Stages
from lexigraft.training.finetune.moving import let_move
from lexigraft.training.strategy import Strategy


@dataclass(frozen=True)
class Partial(Strategy):
    """The `first` and the `last` so many layers of the encoder move, and what a pattern of `train` matches.

    With any layer move pooling, heads and projection; with the first ones what stands below them (positions, segments,
    not the word rows), with the last ones the norm above them. Patterns are globs of parameter names. With neither
    layers nor `train`, everything moves. Nothing that `freeze` matches moves.
    `ValueError` for layers that the encoder does not have, a pattern without a match, and if nothing is left to move.
    """

    first: int = 0
    last: int = 0
    train: Sequence[str] = ()
    freeze: Sequence[str] = ()

    def __post_init__(self) -> None:
        for key, count in (("first", self.first), ("last", self.last)):
            if count < 0:
                raise ValueError(f"finetune.{key}={count}: a number of layers from 0 up is expected")

    def apply(self, model: Classifier, epoch: int) -> None:
        """The same in every epoch."""
        chosen = self._chosen(model)
        let_move(model, lambda name: _shown(name) in chosen)

    def prepare(self, model: Classifier, new_rows: object = None) -> None:
        """Changes nothing; a wrong choice is refused here already."""
        self._chosen(model)

    def _chosen(self, model: Classifier) -> set[str]:
        names = list(dict.fromkeys(_shown(name) for name, _ in model.named_parameters()))
        layers = self._layers(model)
        chosen = set(names) if not layers and not self.train else set()
        if layers:
            new = set(names) - {name for name, _ in model.pretrained_parameters()}
            chosen |= {name for name in names if self._with_layers(Stages.of(model), name, layers, name in new)}
        for pattern in self.train:
            chosen |= _matches(pattern, names, "train")
        for pattern in self.freeze:
            chosen -= _matches(pattern, names, "freeze")
        if not chosen:
            raise ValueError("finetune=partial leaves nothing to train: take a pattern out of finetune.freeze")
        return chosen

    def _layers(self, model: Classifier) -> set[int]:
        """Stages of the chosen layers."""
        stages = Stages.of(model)
        if (self.first or self.last) and not stages.stacked:
            raise ValueError(
                f"finetune.first={self.first} and finetune.last={self.last} count layers, but "
                f"{type(model.encoder).__name__} has none on each other: set both to 0 and give names in finetune.train"
            )
        for key, count in (("first", self.first), ("last", self.last)):
            if count > stages.layers:
                raise ValueError(
                    f"finetune.{key}={count} was given, but the encoder has {stages.layers} layers: "
                    "give at most so many"
                )
        return {*range(1, self.first + 1), *range(stages.layers - self.last + 1, stages.layers + 1)}

    def _with_layers(self, stages: Stages, name: str, layers: set[int], new: bool) -> bool:
        """Whether a parameter moves because some layers do."""
        if not name.startswith("encoder."):
            return new
        stage = stages.stage(name)
        return stage in layers or (stage == 0 and self.first > 0)


def _matches(pattern: str, names: list[str], key: str) -> set[str]:
    found = {name for name in names if fnmatchcase(name, pattern)}
    if not found:
        close = get_close_matches(pattern, names, n=3, cutoff=0.0)
        raise ValueError(f"finetune.{key} holds {pattern!r}, which matches no parameter; near are {', '.join(close)}")
    return found


def _shown(name: str) -> str:
    """The name by which patterns know a parameter: however many hold the word rows, they move together."""
    return f"{WORD_ROWS}weight" if name.startswith(WORD_ROWS) else name
