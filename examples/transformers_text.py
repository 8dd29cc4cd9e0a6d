"""Tunes a small language model, trained from nothing on text that ships with Python, with ASHA.

    python -m pip install 'tunedsl[transformers]' && python examples/transformers_text.py

Each report is one evaluation of the `Trainer`. Paused and retried trials continue from the trainer's own checkpoints.
"""

from pydoc_data.topics import topics

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from tunedsl import asha, choice, loguniform, space, trial
from tunedsl.integrations.transformers import ReportCallback

text = torch.tensor(list(topics["if"].encode("ascii", "ignore")))
rows = [{"input_ids": part, "labels": part} for part in text.split(32)[:-1]]


def train(config, rows):
    shape = {"n_embd": config["width"], "n_layer": 2, "n_head": 2, "vocab_size": 128, "n_positions": 32}
    callback = ReportCallback(["eval_loss"])
    arguments = TrainingArguments(
        trial().path / "trainer", learning_rate=config["lr"], num_train_epochs=9, eval_strategy="epoch", use_cpu=True,
        save_strategy="no", save_total_limit=1, disable_tqdm=True, report_to="none", seed=trial().seed,
    )  # fmt: skip
    model = GPT2LMHeadModel(GPT2Config(**shape))
    trainer = Trainer(model, arguments, callbacks=[callback], train_dataset=rows[5:], eval_dataset=rows[:5])
    trainer.train(resume_from_checkpoint=callback.checkpoint_path)


experiment = (
    space(lr=loguniform(1e-4, 1e-1), width=choice([16, 32, 64]))
    .trainable(train)
    .data(rows=rows)
    .minimize("eval_loss")
    .scheduler(asha(max_t=9))
    .samples(8)
    .seed(0)
)

if __name__ == "__main__":
    results = experiment.run()
    print(f"best loss {results.best.metrics['eval_loss']:.3f} with {results.best.config}")
