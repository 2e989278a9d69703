"""Networks on small data: they learn what there is, do it again by their seed, look back only, and leave as they came."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_causal import baselines
from bayes_causal.baselines.catalogue import BASELINES, run
from bayes_causal.baselines.lagged_rows import LaggedRows, lagged_rows
from bayes_causal.baselines.time_folds import ForwardFolds
from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.errors import EstimandError, MissingExtraError
from bayes_causal.numerics import scores

QUICK: dict[str, Any] = {"epochs": 30, "patience": 8}


@pytest.fixture
def regimes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Twenty features, two of which show the regime, and probabilities of three regimes, (360, 20) and (360, 3)."""
    z = np.repeat(rng.integers(0, 3, 36), 10)
    features = rng.normal(size=(360, 20)) * np.linspace(0.1, 50, 20) + 7
    features[:, 4] += 2 * features[:, 4].std() * z
    features[:, 9] -= 2 * features[:, 9].std() * (z == 1)
    return features, 0.9 * np.eye(3)[z] + 0.1 / 3


@pytest.fixture
def classifier(regimes: tuple[np.ndarray, np.ndarray], needs: Any) -> Any:
    needs("torch")
    return baselines.regime_classifier(regimes[0][:280], regimes[1][:280], window=6, seed=1, **QUICK)


def heteroscedastic(rng: np.random.Generator, n: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcome, shock, control: effect 2, both moved by the control, which also sets the spread of the outcome."""
    c = rng.normal(size=n)
    x = c + rng.normal(size=n)
    return 2 * x + 3 * c + np.exp(c) * rng.normal(size=n), x, c


def test_the_classifier_learns_regimes_from_features(classifier: Any, regimes: tuple[np.ndarray, np.ndarray]) -> None:
    """On later dates it is far better than the shares of the training window."""
    features, target = regimes
    later = classifier.predict(features)[280:]
    np.testing.assert_allclose(later.sum(1), 1, atol=1e-6)
    base = np.tile(target[:280].mean(0), (80, 1))
    assert scores.log_loss(later, target[280:]).mean() < 0.75 * scores.log_loss(base, target[280:]).mean()
    assert scores.brier(later, target[280:]).mean() < 0.75 * scores.brier(base, target[280:]).mean()
    assert classifier.facts["device"] == "cpu" and classifier.facts["epochs"] <= 30
    json.dumps(classifier.facts)


def test_the_architecture_is_the_one_asked_for(classifier: Any) -> None:
    module = classifier.module
    assert module.embed.in_features == 20 and module.embed.out_features == 32 and module.heads == 4
    assert module.dropout == 0.3 and module.head[0].p == 0.3 and module.head[-1].out_features == 3


def test_a_date_is_classified_from_its_window_alone(classifier: Any, regimes: tuple[np.ndarray, np.ndarray]) -> None:
    features = regimes[0]
    planted = features.copy()
    planted[200:] += 1e3
    before, after = classifier.predict(features), classifier.predict(planted)
    np.testing.assert_array_equal(before[:200], after[:200])
    assert not np.allclose(before[200], after[200])
    assert np.isnan(before[:5]).all() and np.isfinite(before[5:]).all()
    np.testing.assert_allclose(classifier.predict(features[100:106])[-1], before[105], atol=1e-6)


def test_the_seed_decides_and_nothing_outside_is_touched(regimes: tuple[np.ndarray, np.ndarray], needs: Any) -> None:
    torch = needs("torch")
    features, target = regimes[0][:120], regimes[1][:120]
    short: dict[str, Any] = {"window": 4, "epochs": 3}
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    one = baselines.regime_classifier(features, target, seed=1, **short)
    assert torch.equal(torch.get_rng_state(), state) and torch.get_num_threads() == threads
    torch.manual_seed(6)
    two, three = (baselines.regime_classifier(features, target, seed=s, **short) for s in (1, 2))
    np.testing.assert_array_equal(one.predict(features), two.predict(features))
    assert not np.allclose(one.predict(features)[10:], three.predict(features)[10:])


def test_training_stops_early_on_a_later_block_and_keeps_the_best(rng: np.random.Generator, needs: Any) -> None:
    """Pure noise: nothing to learn, so that validation loss soon grows. Rows of the later block never reach the optimiser."""
    needs("torch")
    from bayes_causal.baselines.networks import training

    seen: list[np.ndarray] = []
    original = training._epoch

    def spied(module: Any, loss: Any, rows: Any, *rest: Any) -> float:
        seen.append(rows[0][:, -1, 0].numpy())
        return original(module, loss, rows, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_epoch", spied)
        features = np.column_stack([np.arange(200.0), rng.normal(size=(200, 5))])
        target = np.eye(2)[rng.integers(0, 2, 200)]
        found = baselines.regime_classifier(features, target, window=5, epochs=200, patience=4, validation=0.25)
    assert found.facts["stopped"] and found.facts["epochs"] == found.facts["best_epoch"] + 5 == len(seen)
    # of 196 windows the last 49 validate, and 4 before them are purged: their windows reach into the block
    np.testing.assert_array_equal(seen[0], np.arange(4.0, 147.0))


def test_the_profile_says_where_time_went(regimes: tuple[np.ndarray, np.ndarray], needs: Any) -> None:
    needs("torch")
    found = baselines.regime_classifier(regimes[0][:80], regimes[1][:80], window=4, epochs=1, profile=True)
    rows = found.facts["profile"]
    assert (
        any("linear" in r["operator"] or "addmm" in r["operator"] for r in rows)
        and rows[0]["self_ms"] >= rows[-1]["self_ms"] >= 0
    )
    assert "profile" not in baselines.regime_classifier(regimes[0][:80], regimes[1][:80], window=4, epochs=1).facts


def test_the_classifier_leaves_as_it_came(
    classifier: Any, regimes: tuple[np.ndarray, np.ndarray], tmp_path: Path, needs: Any
) -> None:
    for package in ("onnx", "onnxruntime", "onnxscript"):
        needs(package)
    apart = classifier.export(tmp_path, regimes[0][:20])
    assert apart["onnx"] < 1e-5 and apart["export"] < 1e-5
    assert apart["torchscript"] is None or apart["torchscript"] < 1e-5
    import onnxruntime

    from bayes_causal.baselines.networks.attention import windows

    session = onnxruntime.InferenceSession(str(tmp_path / "classifier.onnx"), providers=["CPUExecutionProvider"])
    other = np.ascontiguousarray(windows(regimes[0][100:151].astype(np.float32), 6))  # another number of rows
    (found,) = session.run(None, {session.get_inputs()[0].name: other})
    np.testing.assert_allclose(found, classifier.predict(regimes[0][100:151])[5:], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"window": 40}, "too few for windows of 40"),
        ({"hidden": 30}, "multiple of heads"),
        ({"device": "gpu"}, "device 'gpu' does not exist"),
        ({"epoch": 3}, "epoch"),
        ({"rows": 99}, r"have shapes \(100, 20\) and \(99, 3\)"),
        ({"scale": 2.0}, "add up to one"),
    ],
)
def test_the_classifier_refuses_what_cannot_be(
    change: dict[str, Any], words: str, regimes: tuple[np.ndarray, np.ndarray], needs: Any
) -> None:
    needs("torch")
    options = dict(change)
    target = options.pop("scale", 1.0) * regimes[1][: options.pop("rows", 100)]
    with pytest.raises(EstimandError, match=words):
        baselines.regime_classifier(regimes[0][:100], target, **options)


@pytest.fixture
def rows(rng: np.random.Generator) -> LaggedRows:
    y, x, c = heteroscedastic(rng)
    return lagged_rows(y, x, None, c[:, None], lags=0)


def test_the_effect_network_finds_effect_and_spread(rows: LaggedRows, needs: Any) -> None:
    """Without the control the slope is 3.5. Five standard errors: a right answer fails once in a million runs."""
    needs("torch")
    from bayes_causal.baselines.network_effect import network_effect
    from bayes_causal.baselines.networks.training import Training

    found = network_effect(rows, list(ForwardFolds(4, 1).split(500)), Training(epochs=60, patience=12, seed=2))
    assert abs(found.value - 2) < 5 * found.std_error < 1.4
    held = found.extra["held_out"]
    assert held["rows"] == 100 and held["level"] == 0.9
    # nominal 90 % over 100 rows that the network never saw; at .75 and .99 a calibrated one is outside once in 10,000 runs
    assert 0.75 <= held["coverage"] <= 0.99
    assert held["crps"] < 0.5 * held["crps_reference"] and held["log_density"] > held["log_density_reference"] + 0.5


def test_the_likelihood_is_gaussian_and_spread_is_learnt(rows: LaggedRows, needs: Any) -> None:
    torch = needs("torch")
    from bayes_causal.baselines.networks.effects import fitted, predicted
    from bayes_causal.baselines.networks.training import Training

    sizes: dict[str, Any] = {"purge": 0, "hidden": 16, "dropout": 0.0}
    module, _ = fitted(rows.known, rows.shock, rows.outcome, Training(epochs=60, seed=2), **sizes)
    said = predicted(module, rows.known, rows.shock)
    assert np.corrcoef(np.log(said.sd), rows.known[:, 0])[0, 1] > 0.9  # sd is exp(control)
    # the loss is minus the log density of both, in units of their sds and but for a constant
    tensors = [torch.as_tensor(v, dtype=torch.float32) for v in (rows.known, rows.shock, rows.outcome)]
    own = module.standardised(tensors[0])[4].detach().numpy() * rows.shock.std()
    density = scores.log_density_gaussian(rows.outcome, said.mean, said.sd) + scores.log_density_gaussian(
        rows.shock, said.shock, own
    )
    constant = -np.log(2 * np.pi) - np.log(rows.shock.std() * rows.outcome.std())
    assert module.loss(*tensors).item() == pytest.approx(constant - density.mean(), abs=1e-4)
    # and the effect is what a unit of the shock does to the mean
    more = predicted(module, rows.known, rows.shock + 1)
    np.testing.assert_allclose(more.mean - said.mean, said.effect, atol=1e-3)


def test_the_effect_network_leaves_as_it_came(rows: LaggedRows, tmp_path: Path, needs: Any) -> None:
    needs("torch")
    for package in ("onnx", "onnxruntime", "onnxscript"):
        needs(package)
    from bayes_causal.baselines.networks import exported
    from bayes_causal.baselines.networks.effects import fitted
    from bayes_causal.baselines.networks.training import Training

    module, _ = fitted(rows.known, rows.shock, rows.outcome, Training(epochs=2), purge=0, hidden=16, dropout=0.1)
    inputs = [rows.known[:40], rows.shock[:40]]
    assert exported.export_onnx(module, inputs, tmp_path / "effect.onnx") < 1e-5
    assert exported.export_program(module, inputs, tmp_path / "effect.pt2") < 1e-5
    apart = exported.export_script(module, inputs, tmp_path / "effect.torchscript")
    assert apart is None or apart < 1e-5


def test_torch_effect_keeps_the_contract(rng: np.random.Generator, needs: Any) -> None:
    needs("torch")
    y, x, c = heteroscedastic(rng, 150)
    frame = pd.DataFrame({"a": y, "x": x, "u": rng.normal(size=150), "c": c})
    data = MultiSeries.from_frame(frame, outcomes=["a"], shocks=["x", "u"], controls=["c"])
    assert BASELINES["torch_effect"].load() is baselines.torch_effect
    (answer,) = run(data, [{"torch_effect": {"lags": 1, "folds": 2, **QUICK}}], level=0.8)
    assert answer.value.dims == ("series", "shock") and answer.level == 0.8
    assert np.all(np.abs(answer.value - np.array([[2.0, 0.0]])) < 5 * answer.std_error)
    assert answer.extra["each"][1]["held_out"]["level"] == 0.8
    json.dumps(answer.rows(), allow_nan=False)
    (answer,) = run(data, [{"torch_effect": {"device": "tpu"}}])
    assert "device 'tpu' does not exist" in answer.extra["reason"]


def test_without_torch_the_extra_is_named(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "x"])
    data = MultiSeries.from_frame(frame, outcomes=["a"], shocks=["x"])
    with pytest.raises(MissingExtraError, match=r"bayes-causal\[torch\]"):
        run(data, ["torch_effect"])
    with pytest.raises(MissingExtraError, match=r"bayes-causal\[torch\]"):
        baselines.regime_classifier(np.zeros((100, 2)), np.full((100, 2), 0.5))
