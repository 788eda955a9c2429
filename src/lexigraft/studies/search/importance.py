"""How much each searched key matters."""

import warnings
from typing import TYPE_CHECKING

from lexigraft.studies.search.storage import import_optuna

if TYPE_CHECKING:
    from optuna import Study

FEWEST = 4  # trials


def importances(study: "Study") -> dict[str, float]:
    """The share of each key in what tells the best tenth of the trials from the others, the largest first.

    PED-ANOVA (Watanabe et al. 2023). With several objectives, of the first. Empty with fewer than 4 finished trials, or
    where they are all alike.
    """
    optuna = import_optuna()
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if len(trials) < FEWEST or len({trial.values[0] for trial in trials}) == 1:
        return {}
    several = len(study.directions) > 1
    sign = -1.0 if study.directions[0] == optuna.study.StudyDirection.MAXIMIZE else 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(
            study,
            evaluator=optuna.importance.PedAnovaImportanceEvaluator(),
            target=(lambda trial: sign * trial.values[0]) if several else None,
        )
    return {key: float(share) for key, share in found.items()}
