"""What a search leaves behind makes the next prediction better, not worse."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from metadata_store.batch import Trials
from metadata_store.records import LearningCurve, Task, Trial, TrialState
from metanas.assemble import trials_in
from metanas.bench.source_draw import LeftOut
from metanas.predictors.tapas import Tapas
from metanas.strategies.evolution import Evolution

FOLDER = Path(__file__).parents[4] / "shared/data"
KNOWN, NEW = Task.table("cifar10"), Task.table("cifar100")


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"needs the tables in {FOLDER}")
@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.3, 0.6)])
def test_a_search_on_a_known_task_does_not_mislead(slope: float, shift: float) -> None:
    tables = [str(FOLDER / f"nasbench201_{task.name}.parquet") for task in (KNOWN, NEW)]
    trials = trials_in(tables)
    left_out, other = LeftOut(trials, NEW.name), LeftOut(trials, KNOWN.name)
    drawn = left_out.draw(200, seed=0)
    strategy, rng = Evolution(space=other.space), np.random.default_rng(0)
    searched: list[Trial] = []
    for _ in range(60):
        proposed = strategy.propose(searched, KNOWN, rng)
        curve = LearningCurve(other.metric, (1,), (shift + slope * other.score(proposed),))
        searched.append(Trial(KNOWN.name, proposed, curve, TrialState.COMPLETED, 0, "search:mine"))

    best = np.argsort(-left_out.scores)[:1000]

    def ranked(known: Trials) -> float:
        """Kendall's tau among the best thousand, which a search is about."""
        predictor = Tapas(space=left_out.whole, seed=0).fit(known, {KNOWN.name: KNOWN})
        mean = predictor.predict([left_out.architectures[i] for i in best], NEW).mean
        return float(kendalltau(mean, left_out.scores[best]).statistic)

    before = ranked(drawn)
    after = ranked(Trials.concat([drawn, Trials.of(searched)]))
    assert before > 0.3
    assert after > before - 0.03
