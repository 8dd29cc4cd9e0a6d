"""Tunes a Lightning module with ASHA. Needs `pip install 'tunedsl[lightning,sklearn]'`."""

import lightning.pytorch as pl
from sklearn.datasets import load_digits
from torch import nn, optim, utils

from tunedsl import asha, loguniform, space
from tunedsl.integrations.lightning import ReportCallback

# fmt: off
rows = list(zip(*load_digits(return_X_y=True), strict=True))

class Classifier(pl.LightningModule):
    def training_step(self, batch):
        return nn.functional.cross_entropy(self.layer(batch[0]), batch[1])
    def validation_step(self, batch):
        self.log("val_loss", self.training_step(batch))
    def configure_optimizers(self):
        return optim.AdamW(self.parameters(), self.lr, weight_decay=self.decay)

def train(config, rows, test):
    network, callback = Classifier(), ReportCallback(["val_loss"])
    network.layer, network.lr, network.decay = nn.Linear(64, 10).double(), config["lr"], config["decay"]
    trainer = pl.Trainer(max_epochs=9, callbacks=callback, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.fit(network, utils.data.DataLoader(rows, 64), utils.data.DataLoader(test, 64), ckpt_path=callback.ckpt_path)

experiment = space(lr=loguniform(1e-4, 1), decay=loguniform(1e-5, 1)).trainable(train).minimize("val_loss").seed(0)
experiment = experiment.data(rows=rows[:1200], test=rows[1200:]).scheduler(asha(max_t=9)).samples(9)
if __name__ == "__main__":
    print(experiment.run("local").best)
