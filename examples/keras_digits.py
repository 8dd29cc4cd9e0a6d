"""Tunes a Keras model with ASHA: each epoch is one report. Needs `pip install 'tunedsl[keras,sklearn]' torch`."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before `import keras`; or tensorflow, or jax

import keras
from sklearn.datasets import load_digits

from tunedsl import asha, choice, loguniform, space, trial, uniform
from tunedsl.integrations.keras import ReportCallback


def train(config, x, y):
    keras.utils.set_random_seed(trial().seed)
    hidden = [keras.layers.Dense(config["width"], "relu"), keras.layers.Dropout(config["dropout"])]
    model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10, "softmax")])
    model.compile(keras.optimizers.Adam(config["lr"]), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, validation_split=0.3, epochs=9, verbose=0, callbacks=[ReportCallback(["val_accuracy"])])


images, digits = load_digits(return_X_y=True)
experiment = (
    space(lr=loguniform(1e-4, 1e-1), width=choice([16, 32, 64]), dropout=uniform(0, 0.5))
    .trainable(train).data(x=images / 16, y=digits).maximize("val_accuracy").scheduler(asha(max_t=9)).samples(9).seed(0)
)  # fmt: skip
if __name__ == "__main__":
    best = experiment.run("local").best
    print(f"accuracy {best.metrics['val_accuracy']:.3f} with {best.config}")
