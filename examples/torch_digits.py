"""Tunes PyTorch with HyperBand, which pauses and resumes trials. Needs `pip install 'tunedsl[torch,sklearn]'`."""

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from tunedsl import hyperband, loguniform, report, space, trial


def train(config, x, y):
    network = torch.nn.Linear(64, 10).double()
    optimizer = torch.optim.AdamW(network.parameters(), config["lr"], weight_decay=config["decay"])
    parts = (network, optimizer)
    if (folder := trial().checkpoint) is not None:
        for part, saved in zip(parts, torch.load(folder / "state.pt"), strict=True):
            part.load_state_dict(saved)  # with pbt(), set the optimizer's learning rate again after this
    for _ in range(trial().iteration, 27):
        for rows in torch.randperm(1200).split(64):  # the other rows are held out
            optimizer.zero_grad()
            cross_entropy(network(x[rows]), y[rows]).backward()
            optimizer.step()
        loss = cross_entropy(network(x[1200:]), y[1200:])
        report(loss=loss, checkpoint=lambda to: torch.save([part.state_dict() for part in parts], to / "state.pt"))


x, y = map(torch.tensor, load_digits(return_X_y=True))
experiment = space(lr=loguniform(1e-4, 1), decay=loguniform(1e-5, 1)).trainable(train).data(x=x, y=y).minimize("loss")
experiment = experiment.scheduler(hyperband(27)).samples(27).seed(0)
if __name__ == "__main__":
    print(experiment.run("local").best)
