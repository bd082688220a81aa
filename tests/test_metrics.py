import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from stance.evaluation.metrics import compute_metrics, expected_calibration_error, holder_metrics, spread
from stance.schema import LABELS, TaskSpec


def random_case(seed: int, n: int = 400, documents: int = 40) -> tuple[list[str], np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, n)
    probabilities = rng.dirichlet(np.ones(4), n)
    probabilities[np.arange(n), truth] += 0.5
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return [LABELS[i] for i in truth], probabilities, [f"doc{i}" for i in rng.integers(0, documents, n)]


def test_figures_agree_with_scikit_learn() -> None:
    gold, probabilities, documents = random_case(0)
    predicted = [LABELS[i] for i in probabilities.argmax(axis=1)]
    metrics = compute_metrics(gold, probabilities, documents, task=TaskSpec(), seed=1)
    stance = list(TaskSpec().stance_labels)
    assert metrics["macro_f1"] == pytest.approx(f1_score(gold, predicted, labels=stance, average="macro"))
    assert metrics["macro_f1_all"] == pytest.approx(f1_score(gold, predicted, average="macro"))
    assert metrics["accuracy"] == pytest.approx(accuracy_score(gold, predicted))
    assert np.sum(metrics["confusion_matrix"]) == 400
    low, high = metrics["macro_f1_interval"]
    assert low < metrics["macro_f1"] < high


def test_macro_f1_leaves_none_out_but_counts_its_errors() -> None:
    gold = ["for", "against", "conditional", "none"]
    right = compute_metrics(gold, np.eye(4), list("abcd"), task=TaskSpec(), seed=1)
    assert right["macro_f1"] == 1.0
    false_positive = compute_metrics(gold, np.eye(4)[[0, 1, 2, 0]], list("abcd"), task=TaskSpec(), seed=1)
    assert false_positive["macro_f1"] == pytest.approx((2 / 3 + 1 + 1) / 3)


def test_the_interval_resamples_documents_and_not_sentences() -> None:
    gold, probabilities, _ = random_case(1)
    alone = compute_metrics(gold, probabilities, [str(i) for i in range(400)], task=TaskSpec(), seed=1)
    wide = np.repeat(np.arange(4), 100)  # four documents, each all right or all wrong
    gold = ["for"] * 400
    clustered = compute_metrics(gold, np.eye(4)[wide % 2], [str(i) for i in wide], task=TaskSpec(), seed=1)
    assert clustered["accuracy_interval"] == [0.0, 1.0]
    assert np.ptp(alone["accuracy_interval"]) < 0.1


def test_the_interval_has_its_nominal_coverage() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for seed in range(200):
        correct = np.repeat(rng.random(60) < 0.7, 5)  # 60 documents of 5 sentences that stand or fall together
        gold = ["for"] * 300
        documents = [str(i // 5) for i in range(300)]
        metrics = compute_metrics(gold, np.eye(4)[np.where(correct, 0, 1)], documents, task=TaskSpec(), seed=seed)
        low, high = metrics["accuracy_interval"]
        covered += low <= 0.7 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval() -> None:
    case = random_case(3)
    first, second, other = (compute_metrics(*case, task=TaskSpec(), seed=s) for s in (1, 1, 2))
    assert first == second
    assert first["macro_f1_interval"] != other["macro_f1_interval"]


def test_calibration_error_of_known_cases() -> None:
    truth = np.array([0, 0, 0, 1])
    sure = np.tile([1.0, 0.0], (4, 1))
    assert expected_calibration_error(truth, sure) == pytest.approx(0.25)
    calibrated = np.tile([0.75, 0.25], (4, 1))
    assert expected_calibration_error(truth, calibrated) == pytest.approx(0)


def test_brier_score_of_known_cases() -> None:
    def brier(row: list[float]) -> float:
        score = compute_metrics(["for"], np.array([row]), ["d"], task=TaskSpec(), seed=1)["brier"]
        assert isinstance(score, float)
        return score

    assert brier([1, 0, 0, 0]) == 0
    assert brier([0, 1, 0, 0]) == 2
    assert brier([0.25, 0.25, 0.25, 0.25]) == pytest.approx(0.75)


def test_telling_stances_from_none_of_known_cases() -> None:
    # Six sentences take a stance: the model sees one in four of them, one of these with the wrong label. Of the four
    # others it takes one for a stance.
    gold = ["for"] * 3 + ["against"] * 3 + ["none"] * 4
    predicted = [0, 0, 1, 1, 3, 3, 0, 3, 3, 3]
    probabilities = np.full((10, 4), 0.1)
    probabilities[np.arange(10), predicted] = 0.7
    found = compute_metrics(gold, probabilities, list("abcdefghij"), task=TaskSpec(), seed=1)["takes_a_stance"]
    assert found["precision"] == pytest.approx(4 / 5)
    assert found["recall"] == pytest.approx(4 / 6)
    assert found["f1"] == pytest.approx(8 / 11)
    assert found["false_per_1000"] == pytest.approx(250)
    # Three of the five that are taken for a stance have the right label.
    assert found["ece"] == pytest.approx(0.7 - 3 / 5)
    for name in ("f1", "false_per_1000"):
        low, high = found[f"{name}_interval"]
        assert low < found[name] < high


def test_telling_stances_from_none_where_there_is_only_one_of_them() -> None:
    every = compute_metrics(["for"] * 2, np.eye(4)[[0, 3]], list("ab"), task=TaskSpec(), seed=1)["takes_a_stance"]
    assert (every["false_per_1000"], every["false_per_1000_interval"], every["recall"]) == (None, None, 0.5)
    no = compute_metrics(["none"] * 2, np.eye(4)[[3, 3]], list("ab"), task=TaskSpec(), seed=1)["takes_a_stance"]
    assert (no["f1"], no["ece"], no["false_per_1000"]) == (0, None, 0)


def test_each_label_has_its_interval() -> None:
    gold, probabilities, documents = random_case(6)
    per_class = compute_metrics(gold, probabilities, documents, task=TaskSpec(), seed=1)["per_class"]
    assert all(c["f1_interval"][0] < c["f1"] < c["f1_interval"][1] for c in per_class.values())


def test_a_slice_averages_over_the_stances_that_it_has() -> None:
    gold = ["for", "none", "none"]
    slices = {"file": ["a", "a", "b"]}
    metrics = compute_metrics(gold, np.eye(4)[[0, 3, 3]], list("xyz"), task=TaskSpec(), seed=1, slices=slices)
    assert metrics["slices"]["file"]["a"] == {
        "sentences": 2,
        "stance_sentences": 1,
        "macro_f1": 1.0,
        "macro_f1_interval": [1.0, 1.0],
        "accuracy": 1.0,
        "accuracy_interval": [1.0, 1.0],
    }
    assert metrics["slices"]["file"]["b"]["macro_f1"] is None
    assert metrics["slices"]["file"]["b"]["macro_f1_interval"] is None


def test_what_is_left_when_the_least_confident_are_left_out() -> None:
    gold = ["for", "for", "none", "none"]
    probabilities = np.array([[0.96, 0.04, 0, 0], [0.4, 0.6, 0, 0], [0, 0, 0.15, 0.85], [0.1, 0.2, 0.3, 0.4]])
    table = {
        row["min_confidence"]: row
        for row in compute_metrics(gold, probabilities, list("abcd"), task=TaskSpec(), seed=1)["selective"]
    }
    assert [table[t]["coverage"] for t in (0.0, 0.5, 0.8, 0.9, 0.99)] == [1, 0.75, 0.5, 0.25, 0]
    assert [table[t]["accuracy"] for t in (0.0, 0.5, 0.8, 0.99)] == [0.75, pytest.approx(2 / 3), 1, None]


def test_the_reliability_table_makes_the_calibration_error() -> None:
    gold, probabilities, documents = random_case(4)
    metrics = compute_metrics(gold, probabilities, documents, task=TaskSpec(), seed=1)
    table = metrics["reliability"]
    assert sum(b["sentences"] for b in table) == 400
    assert all(b["from"] <= b["confidence"] <= b["to"] for b in table)
    gaps = sum(b["sentences"] * abs(b["confidence"] - b["accuracy"]) for b in table) / 400
    assert metrics["ece"] == pytest.approx(gaps)


def test_predictions_can_be_read_back() -> None:
    gold, probabilities, documents = random_case(5)
    metrics = compute_metrics(gold, probabilities, documents, task=TaskSpec(), seed=1)
    assert [int(n) for n in metrics["label_numbers"].split()] == probabilities.argmax(axis=1).tolist()


def test_a_class_that_never_occurs_scores_zero_without_a_warning() -> None:
    metrics = compute_metrics(["none"] * 3, np.eye(4)[[3, 3, 3]], list("abc"), task=TaskSpec(), seed=1)
    assert metrics["macro_f1"] == 0
    assert metrics["accuracy"] == 1


def test_nothing_to_score() -> None:
    with pytest.raises(ValueError, match="no sentences"):
        compute_metrics([], np.empty((0, 4)), [], task=TaskSpec(), seed=1)


def test_spread() -> None:
    folds = [{"macro_f1": v, "accuracy": v, "ece": v, "brier": v} for v in (0.5, 0.7)]
    result = spread(folds)
    assert result["mean"]["macro_f1"] == pytest.approx(0.6)
    assert result["standard_deviation"]["macro_f1"] == pytest.approx(np.std([0.5, 0.7], ddof=1))


def test_holders_of_known_cases() -> None:
    gold = ["Egypt", "the UN envoy", "", "author", "Chad"]
    found = ["EGYPT", "envoy", "Spain", "author", None]
    metrics = holder_metrics(gold, found, ["a", "b", "b", "c", "c"], seed=1)
    assert metrics["sentences"] == 4
    assert metrics["token_f1"] == pytest.approx((1 + 2 / 3 + 1 + 0) / 4)
    assert metrics["exact"] == 0.5
    assert metrics["where_found"] == {"sentences": 3, "token_f1": pytest.approx(8 / 9), "exact": pytest.approx(2 / 3)}
    low, high = metrics["token_f1_interval"]
    assert 0.5 <= low < metrics["token_f1"] < high <= 1
    assert "token_f1" not in holder_metrics(gold, [None] * 5, ["a"] * 5, seed=1)["where_found"]
