"""Which trial of a search a process runs: told by the search in a variable, read where training ends an epoch."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

VARIABLE = "LEXIGRAFT_TRIAL"


@dataclass(frozen=True)
class TrialReference:
    """The storage by its absolute path, the study in it, the trial's number, and the pruner: the arguments of
    `studies.search.sampling.pruner`.
    """

    storage: str
    study: str
    trial: int
    pruner: Mapping[str, Any]

    @classmethod
    def from_environment(cls) -> "TrialReference | None":
        """That of this process; None outside a search, and in one without a pruner."""
        text = os.environ.get(VARIABLE)
        return cls(**json.loads(text)) if text else None

    def variables(self) -> dict[str, str]:
        """What is to stand in the environment of the trial's process."""
        return {VARIABLE: json.dumps(asdict(self))}
