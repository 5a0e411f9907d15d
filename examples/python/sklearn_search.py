"""Search with scikit-learn: a pipeline, a random search over it, folds on joblib's workers.

pip install scikit-learn && python examples/python/sklearn_search.py
"""

import elman
import numpy as np
from scipy.stats import loguniform
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer


def main() -> None:
    """Prints the best parameters and their accuracy over the folds."""
    x, y = load_breast_cancer(return_X_y=True)
    model = make_pipeline(PowerTransformer(), elman.ElmanClassifier(max_steps=150, random_state=0, n_jobs=1))
    space = {
        "elmanclassifier__dense": [(16,), (64,), (64, 32)],
        "elmanclassifier__lr": loguniform(1e-3, 1e-2),
        "elmanclassifier__dropout": np.linspace(0, 0.5, 6),
    }
    # Each worker trains on one thread.
    search = RandomizedSearchCV(model, space, n_iter=4, cv=3, n_jobs=2, random_state=0)
    search.fit(x, y)
    print(f"accuracy {search.best_score_:.3f} with {search.best_params_}")


if __name__ == "__main__":
    main()
