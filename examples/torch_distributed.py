"""Tunes a network that two processes train together, with ASHA. Needs `pip install 'tunedsl[torch,sklearn]'`."""

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from tunedsl import asha, loguniform, report, space
from tunedsl.integrations.torch import distributed


@distributed  # over two processes; `distributed(train, workers=4)` for more
def train(config, x, y):
    x, y = torch.tensor(x), torch.tensor(y)
    network = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(64, 10))  # all begin with rank 0's weights
    optimizer = torch.optim.AdamW(network.parameters(), config["lr"], weight_decay=config["decay"])
    mine = slice(torch.distributed.get_rank(), 1200, torch.distributed.get_world_size())
    for _ in range(27):
        optimizer.zero_grad()
        cross_entropy(network(x[mine]), y[mine]).backward()  # averages the gradients of all processes
        optimizer.step()
        report(loss=cross_entropy(network.module(x[1200:]), y[1200:]))


x, y = load_digits(return_X_y=True)
experiment = space(lr=loguniform(1e-4, 1), decay=loguniform(1e-5, 1)).trainable(train).data(x=x.astype("float32"), y=y)
experiment = experiment.minimize("loss").scheduler(asha(max_t=27)).samples(4).seed(0)
if __name__ == "__main__":
    best = experiment.run("local").best
    print(f"loss {best.metrics['loss']:.3f} with {best.config}")
