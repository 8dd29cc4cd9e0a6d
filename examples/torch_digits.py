"""Tunes a PyTorch network on scikit-learn's digits; HyperBand pauses, promotes and resumes the trials.

    python -m pip install torch scikit-learn && python examples/torch_digits.py

With a GPU, two trials share it. Ray sets `CUDA_VISIBLE_DEVICES` for each trial, so the device is `cuda`.
"""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from tunedsl import Trainable, choice, hyperband, loguniform, qrandint, space, uniform

EPOCHS = 27
GPU = 0.5 if torch.cuda.is_available() else 0

images, labels = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(
    (images / 16).astype("float32"), labels, test_size=0.25, random_state=0, stratify=labels
)


class Network(Trainable):
    def setup(self, config, x_train, y_train, x_test, y_test):
        torch.set_num_threads(1)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        # The arrays may be in read-only shared memory; torch.tensor copies them.
        arrays = (x_train, y_train, x_test, y_test)
        self.x, self.y, self.x_test, self.y_test = (torch.tensor(array, device=self.device) for array in arrays)
        width, activation = config["width"], {"relu": nn.ReLU, "gelu": nn.GELU}[config["activation"]]
        layers = [nn.Linear(64, width), activation(), nn.Dropout(config["dropout"]), nn.Linear(width, 10)]
        self.network = nn.Sequential(*layers).to(self.device)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), config["lr"], weight_decay=config["decay"])
        self.config = config

    def step(self):
        self.network.train()
        for rows in torch.randperm(len(self.x), device=self.device).split(self.config["batch"]):
            loss = nn.functional.cross_entropy(self.network(self.x[rows]), self.y[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        self.network.eval()
        with torch.no_grad():
            found = self.network(self.x_test).argmax(1)
        return {"accuracy": (found == self.y_test).float().mean(), "loss": loss}

    def save(self, folder):
        torch.save([self.network.state_dict(), self.optimizer.state_dict()], folder / "state.pt")

    def load(self, folder):
        network, optimizer = torch.load(folder / "state.pt", map_location=self.device)
        self.network.load_state_dict(network)
        self.optimizer.load_state_dict(optimizer)
        # The optimizer's state includes the learning rate at the time of saving. With pbt(), that is another trial's.
        for group in self.optimizer.param_groups:
            group["lr"], group["weight_decay"] = self.config["lr"], self.config["decay"]


experiment = (
    space(
        lr=loguniform(1e-4, 1e-1),
        decay=loguniform(1e-6, 1e-1),
        width=qrandint(16, 128, 16),
        dropout=uniform(0, 0.5),
        batch=choice([32, 64, 128]),
        activation=choice(["relu", "gelu"]),
    )
    .trainable(Network)
    .data(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    .maximize("accuracy")
    .scheduler(hyperband(max_t=EPOCHS, reduction_factor=3))
    .resources(cpu=1, gpu=GPU)
    .checkpoint(keep=1)
    .samples(36)
    .seed(0)
    .named("torch-digits")
)


if __name__ == "__main__":
    results = experiment.run()
    best = results.best
    print(f"best held-out accuracy {best.metrics['accuracy']:.4f} with {best.config}")
    print(f"checkpoint             {best.checkpoint}")
