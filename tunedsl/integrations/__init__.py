"""To and from other tuners: search spaces of Ray Tune, studies of Optuna. What has no equal here is refused by name."""

from tunedsl.integrations.optuna import known_from_optuna, to_optuna
from tunedsl.integrations.ray_tune import space_from_ray

__all__ = ["known_from_optuna", "space_from_ray", "to_optuna"]
