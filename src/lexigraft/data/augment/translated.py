"""Other wordings of the training texts from a file, such as translations there and back."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lexigraft.data.files import decoded_lines


@dataclass(frozen=True)
class Translated:
    """The wordings that a text file, plain or .gz, gives: in each line a training text, a tab and another wording.

    A text may have several lines, or none. It is the text as cleaning left it, white space apart.
    """

    path: str

    def __call__(self, texts: Sequence[str], seed: int) -> list[list[str]]:
        """The wordings of each text, in the order of the file; `ValueError` for a file that has none of the texts."""
        wordings = read_wordings(self.path)
        found = [wordings.get(" ".join(text.split()), []) for text in texts]
        if not any(found):
            raise ValueError(
                f"{self.path} has another wording for none of the {len(texts):,} training texts; in each line a "
                "training text as it stands in the data, a tab and its other wording are expected"
            )
        return found


def read_wordings(path: str) -> dict[str, list[str]]:
    """Text, with white space evened, -> its other wordings; `ValueError` names the line that is not two texts."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(
            f"no file {path}; texts and other wordings are expected (augment_texts.translated.path)"
        )
    wordings: dict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(decoded_lines(file)[0], start=1):
        if not line.strip():
            continue
        fields = line.rstrip("\r").split("\t")
        if len(fields) != 2:
            raise ValueError(
                f"{path}, line {number}: {len(fields)} columns; a text, a tab and its other wording are expected"
            )
        wordings[" ".join(fields[0].split())].append(fields[1].strip())
    return dict(wordings)
