"""An optuna study whose trials run in jobs, by its ask-and-tell interface.

pip install "hfexecutor[local]" optuna
python examples/integrations/optuna_study.py
"""

from __future__ import annotations

import os

import optuna

from hfexecutor import HubExecutor, as_completed


def loss(rate: float, layers: int) -> float:
    return abs(rate - 0.1) + (layers - 4) ** 2


def main() -> None:
    space = {
        "rate": optuna.distributions.FloatDistribution(0.001, 1.0, log=True),
        "layers": optuna.distributions.IntDistribution(1, 8),
    }
    study = optuna.create_study()
    endpoint = os.environ.get("HFEXECUTOR_ENDPOINT", "local")
    with HubExecutor(max_workers=4, endpoint=endpoint) as executor:
        for _ in range(5):
            trials = [study.ask(space) for _ in range(4)]
            futures = {executor.submit(loss, **trial.params): trial for trial in trials}
            for future in as_completed(futures):
                study.tell(futures[future], future.result())
    print(f"{len(study.trials)} trials, the best: {study.best_params}")


if __name__ == "__main__":
    main()
