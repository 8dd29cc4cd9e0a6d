"""Warnings about objectives whose direction contradicts their name."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from tunedsl import Experiment, report, space, uniform
from tunedsl.compiler import check
from tunedsl.compiler.directions import better


def train(config: dict[str, Any], **metrics: Any) -> None:
    report(metrics | {"x": config["x"]})


BASE = space(x=uniform(0, 1)).trainable(train)

LARGER = """
accuracy acc val_acc valAccuracy val/accuracy top1_acc top5_accuracy acc@1 val_auc roc_auc ROC-AUC auprc mAP mAP50
f1 f1_score macro_f1 precision recall r2 R^2 score val_score test.score reward episode_reward_mean return bleu iou
mIoU dice ndcg@10 psnr ssim log_likelihood elbo neg_mean_squared_error neg_loss -loss hit_rate success_rate
"""
SMALLER = """
loss val_loss valLoss valloss train/loss error val_error error_rate rmse testRMSE mse mae MSELoss nll
neg_log_likelihood cross_entropy crossentropy log_loss logloss perplexity ppl wer cer fid brier_score latency_ms
cost regret fpr false_positive_rate neg_accuracy one_minus_acc 1-acc
"""
UNKNOWN = """
size time_total_s width accuracy_loss objective y entropy distance map_loss x memory
"""


@pytest.mark.parametrize(("names", "mode"), [(LARGER, "max"), (SMALLER, "min"), (UNKNOWN, None)])
def test_a_name_says_its_direction(names: str, mode: str | None) -> None:
    assert {name: better(name) for name in names.split()} == dict.fromkeys(names.split(), mode)


@pytest.mark.parametrize(
    ("experiment", "found", "expected"),
    [
        (BASE.minimize("accuracy"), ".minimize('accuracy')", ".maximize('accuracy')"),
        (BASE.minimize("val_auc"), ".minimize('val_auc')", ".maximize('val_auc')"),
        (BASE.maximize("loss"), ".maximize('loss')", ".minimize('loss')"),
        (BASE.minimize("size").maximize("val.rmse"), ".maximize('val.rmse')", ".minimize('val.rmse')"),
    ],
)
def test_the_other_direction_is_warned_of_where_it_was_written(
    experiment: Experiment, found: str, expected: str
) -> None:
    (warning,) = (item for item in check(experiment) if item.code == "W033")
    assert warning.message.startswith(found) and expected in warning.hint
    assert warning.place is not None and warning.place.file == __file__
    lines, first = inspect.getsourcelines(inspect.getmodule(train) or train)
    assert found.replace("'", '"') in lines[warning.place.line - max(first, 1)]
    assert warning in experiment.compile("inline").warnings


@pytest.mark.parametrize("experiment", [BASE.minimize("loss"), BASE.maximize("val_auc"), BASE.minimize("size")])
def test_the_usual_direction_is_not(experiment: Experiment) -> None:
    assert "W033" not in [item.code for item in check(experiment)]
