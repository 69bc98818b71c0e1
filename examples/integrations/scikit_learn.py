"""A grid search of scikit-learn's on jobs: nothing in it knows of them.

pip install "hfexecutor[joblib,local]" scikit-learn
python examples/integrations/scikit_learn.py
"""

from __future__ import annotations

import os

from joblib import parallel_config
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from hfexecutor.integrations.joblib import register


def main() -> None:
    register()
    x, y = make_classification(300, random_state=0)
    search = GridSearchCV(SVC(), {"C": [0.1, 1, 10], "gamma": [0.01, 0.1]}, cv=3, n_jobs=-1)
    endpoint = os.environ.get("HFEXECUTOR_ENDPOINT", "local")
    with parallel_config(backend="hfexecutor", max_workers=2, endpoint=endpoint):
        search.fit(x, y)
    print(search.best_params_, round(search.best_score_, 3))


if __name__ == "__main__":
    main()
