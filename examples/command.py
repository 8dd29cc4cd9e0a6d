"""Tunes a program that is not Python, as it is: ASHA stops bad trials, and each continues from its own folder."""

from pathlib import Path

from tunedsl import asha, command, loguniform, randint, space

PROGRAM = Path(__file__).with_name("train.sh")

experiment = (
    space(lr=loguniform(1e-3, 1.0), width=randint(4, 64))
    .trainable(command(["sh", PROGRAM, "--lr", "{lr:.4g}", "--width={width}"], iteration="epoch"))
    .minimize("loss")
    .scheduler(asha(max_t=9, reduction_factor=3))
    .samples(9)
    .seed(0)
)

if __name__ == "__main__":
    results = experiment.run()
    print(f"best loss {results.best.metrics['loss']:.3f} at lr={results.best.config['lr']:.3g}")
    print(results.stats)
