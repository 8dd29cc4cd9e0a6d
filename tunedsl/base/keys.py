"""Random keys: every draw is a function of a key, not of earlier draws.

This is the only module that may use `random` and `numpy.random`.
Source: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), evaluated at a position instead of in order.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import secrets
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Generator = np.random.Generator

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


def key(seed: int, *path: str | int) -> int:
    """A 64-bit key that belongs to `path` under `seed`, such as `key(0, "trial", 7)`."""
    words = [f"{type(part).__name__}:{len(str(part))}:{part}" for part in (seed, *path)]
    digest = hashlib.blake2b("/".join(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def trial_seed(seed: int, number: int) -> int:
    """The 32-bit seed of a trial under an experiment's seed."""
    return key(seed, "trial", number) % 2**32


def uniforms(key: int | NDArray[np.uint64], counters: Sequence[int] | NDArray[Any]) -> NDArray[np.float64]:
    """One number in the open interval (0, 1) for each counter; equal counters give equal numbers.

    Several keys broadcast against the counters.
    """
    position = np.asarray(counters).astype(np.uint64)
    with np.errstate(over="ignore"):
        bits = np.uint64(key) + (position + np.uint64(1)) * _GAMMA
        bits = (bits ^ (bits >> np.uint64(30))) * _MIX1
        bits = (bits ^ (bits >> np.uint64(27))) * _MIX2
        bits ^= bits >> np.uint64(31)
    return ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def uniform(key: int, counter: int = 0) -> float:
    """One number in the open interval (0, 1)."""
    return float(uniforms(key, [counter])[0])


def generator(key: int) -> np.random.Generator:
    """A NumPy generator that belongs to `key` alone."""
    return np.random.Generator(np.random.Philox(key))


def fresh_seed() -> int:
    """A seed from the operating system, for experiments without one."""
    return secrets.randbits(31)


def seed_globals(key: int) -> None:
    """Seeds `random`, NumPy's legacy state and, where it is loaded, torch."""
    random.seed(key)
    np.random.seed(key % 2**32)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(key % 2**63)


def global_state() -> tuple[Any, ...]:
    """The state of the global generators, for `restore_globals`."""
    torch = sys.modules.get("torch")
    return random.getstate(), np.random.get_state(), None if torch is None else torch.get_rng_state()


def restore_globals(state: tuple[Any, ...]) -> None:
    """Restores the global generators to a state from `global_state`."""
    random.setstate(state[0])
    np.random.set_state(state[1])
    if state[2] is not None:
        sys.modules["torch"].set_rng_state(state[2])


@contextlib.contextmanager
def seeded_globals(key: int) -> Iterator[None]:
    """Runs a block with global generators seeded by `key`, and restores them after it."""
    state = global_state()
    seed_globals(key)
    try:
        yield
    finally:
        restore_globals(state)
