"""Tunes a small language model with ASHA. Needs `pip install 'tunedsl[transformers]'`."""

from pydoc_data.topics import topics  # text that ships with Python

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from tunedsl import asha, choice, loguniform, space, trial
from tunedsl.integrations.transformers import ReportCallback


def train(config, rows):
    callback = ReportCallback(["eval_loss"])
    shape = GPT2Config(n_embd=config["width"], n_layer=2, n_head=2, vocab_size=128, n_positions=32)
    arguments = TrainingArguments(
        trial().path / "trainer", learning_rate=config["lr"], num_train_epochs=9, eval_strategy="epoch", use_cpu=True,
        save_strategy="no", save_total_limit=1, disable_tqdm=True, report_to="none", seed=trial().seed,
    )  # fmt: skip
    data = {"train_dataset": rows[5:], "eval_dataset": rows[:5]}
    trainer = Trainer(GPT2LMHeadModel(shape), arguments, callbacks=[callback], **data)
    trainer.train(resume_from_checkpoint=callback.checkpoint_path)


text = torch.tensor(list(topics["if"].encode("ascii", "ignore")))
rows = [{"input_ids": part, "labels": part} for part in text.split(32)[:-1]]
experiment = space(lr=loguniform(1e-4, 1e-1), width=choice([16, 32, 64])).trainable(train).data(rows=rows)
experiment = experiment.minimize("eval_loss").scheduler(asha(max_t=9)).samples(8).seed(0)
if __name__ == "__main__":
    print(experiment.run("local").best)
