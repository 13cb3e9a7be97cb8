"""R² of kernel ridge and of a small neural network on the masks of a finished run.

    python tests/benchmarks/other_fits.py runs/ioi --budgets 1000 2000 4000

The same masks, values and fresh masks as `headspex compare`, which has all other methods. Both are
scikit-learn's, with settings chosen by cross-validation on the masks of each budget.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits

from headspex.budget.allocation import Allocation
from headspex.budget.sample import draw_sample
from headspex.comparison.fits import search_parts
from headspex.engine.faithfulness import faithfulness
from headspex.engine.spectrum import Spectrum
from headspex.runs.findings import fresh_values, search_scores
from headspex.runs.reopening import setup_of_run
from headspex.runs.run_folder import judged_run
from headspex.scores.fill import fill_of_run
from headspex.scores.store import ScoreStore

FOLDS = 4
METHODS: dict[str, Any] = {
    "kernel ridge": GridSearchCV(
        KernelRidge(kernel="rbf"),
        {"alpha": [0.1, 1.0, 10.0], "gamma": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2]}, cv=FOLDS,
    ),
    "neural network": GridSearchCV(
        MLPRegressor(early_stopping=True, n_iter_no_change=30, max_iter=500, random_state=0),
        {"hidden_layer_sizes": [(16,), (64,)], "alpha": [0.1, 1.0, 10.0, 100.0]}, cv=FOLDS,
    ),
}  # fmt: skip


def main() -> None:
    """Print R² and its interval for both methods at every budget."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--budgets", type=int, nargs="+", default=[])
    options = parser.parse_args()
    folder, content = judged_run(options.run)
    setup = setup_of_run(options.run, content["identity"])
    spent = Allocation.from_dict(content["results"]["allocation"])
    sample = draw_sample(setup.plan, spent.without_gradients, seed=setup.settings.seed)
    known = Spectrum.from_json(folder.spectrum.read_text())
    fill = fill_of_run(folder.path / "masks", setup.settings.ablation)
    with ScoreStore(folder.scores, setup.scored_by(fill)) as store:
        judge = setup.judge(store, fill=fill)
        scores = search_scores(judge, sample, [setup.metric])[setup.metric]
        fresh, _ = fresh_values(judge, sample, setup.metric, known.predict(sample.fresh))
    for passes in search_parts(sample, options.budgets):
        data = sample.observed(scores[:passes])
        centre, spread = data.mean, np.sqrt(data.variance)
        for name, method in METHODS.items():
            with threadpool_limits(setup.settings.threads):
                fitted = method.fit(data.characters(), (data.values - centre) / spread)
            unseen = replace(data, masks=sample.fresh).characters()
            predicted = centre + spread * fitted.predict(unseen)
            print(f"{passes:6,} {name:15} {faithfulness(fresh, predicted)}", flush=True)


if __name__ == "__main__":
    main()
