"""Tunes CatBoost with ASHA: each boosting iteration is one report. Needs `pip install 'tunedsl[catboost,sklearn]'`."""

from catboost import CatBoostClassifier
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

from tunedsl import asha, auto, loguniform, randint, space
from tunedsl.integrations.catboost import ReportCallback


def train(config, x, x_test, y, y_test):
    callback = ReportCallback({"loss": "validation-MultiClass"})
    options = {"iterations": 27, "loss_function": "MultiClass", "thread_count": 1, "verbose": False}
    model = CatBoostClassifier(**config, **options, **callback.snapshot)
    model.fit(x, y, eval_set=(x_test, y_test), callbacks=[callback])


parts = train_test_split(*load_wine(return_X_y=True), test_size=0.3, random_state=0)
experiment = (
    space(learning_rate=loguniform(1e-2, 0.5), depth=randint(2, 6), l2_leaf_reg=loguniform(1e-2, 30))
    .trainable(train).data(**dict(zip(("x", "x_test", "y", "y_test"), parts, strict=True)))
    .minimize("loss").searcher(auto()).scheduler(asha(max_t=27)).samples(20).seed(0)
)  # fmt: skip

if __name__ == "__main__":
    best = experiment.run("local").best
    print(f"log loss {best.metrics['loss']:.4f} with {best.config}")
