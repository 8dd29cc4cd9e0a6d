"""The direction in which a metric is better, as far as its name tells."""

from __future__ import annotations

import itertools
import re
from typing import Final

from tunedsl.base.types import Mode

_LARGER_WORDS: Final = """
acc accuracy accuracies auc auroc rocauc auprc prauc roc ap map f1 fbeta fscore precision recall r2 reward rewards
return returns bleu rouge meteor iou miou dice jaccard ndcg mrr psnr ssim correlation pearson spearman likelihood
elbo throughput profit revenue sharpe kappa mcc hits sensitivity specificity tpr tnr correct success successes win
wins winrate hit truepositive fps qps evidence
"""
_LARGER: Final = frozenset(_LARGER_WORDS.split())
_SMALLER_WORDS: Final = """
loss losses error errors err mse rmse mae mape smape wape mase msle rmsle nll bce crossentropy logloss perplexity
ppl wer cer fid latency cost costs regret brier hinge divergence kld penalty violation violations deviance residual
residuals misclassification fpr fnr bpb bpc bpd eer falsepositive falsealarm failure failures incorrect inaccuracy
wrong unfairness
"""
_SMALLER: Final = frozenset(_SMALLER_WORDS.split())
_WEAK: Final = frozenset({"score", "scores"})
"""Larger is better unless another word contradicts: a Brier score is a loss."""
_NEGATION: Final = re.compile(r"\s*(-|1\s*-|(?i:neg|negative|negated|minus|one_minus|inverse|inverted|inv)(?![a-z]))")
"""Beginnings of names that reverse the direction of the rest."""
_LONG: Final = 4
"""The minimum length of a known word at the end of another word, such as `valloss`."""


def better(metric: str) -> Mode | None:
    """`min` or `max` if the name of a metric tells which is better, else None.

    >>> better("val_accuracy"), better("testRMSE"), better("neg_mean_squared_error"), better("size")
    ('max', 'min', 'max', None)
    """
    words = _words(metric)
    modes = {_mode(word) for word in words} - {None}
    if not modes and _WEAK.intersection(words):
        modes = {"max"}
    if len(modes) != 1:
        return None
    return "max" if (modes == {"max"}) != bool(_NEGATION.match(metric)) else "min"


def _words(metric: str) -> list[str]:
    """The words of a name in lower case: of `snake_case`, `camelCase`, `validation/acc@1` and `val loss`."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", metric) if part]
    inner = [word for part in parts for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", part)]
    joined = ["".join(pair) for pair in itertools.pairwise(parts)]  # `cross_entropy`, `log_loss`
    numbered = [part.rstrip("0123456789") for part in parts]  # `top1`
    return [word.lower() for word in dict.fromkeys([*parts, *numbered, *inner, *joined])]


def _mode(word: str) -> Mode | None:
    """The direction of one word, or of a known word at its end."""
    for start in range(max(1, len(word) - _LONG + 1)):
        ending = word[start:]
        if ending in _SMALLER:
            return "min"
        if ending in _LARGER:
            return "max"
    return None
