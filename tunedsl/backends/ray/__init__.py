"""The Ray engine: pooled actors that run many trials each. The only room that imports Ray.

Import it lazily: `import ray` takes seconds.
"""

from tunedsl.backends.ray.backend import RayEngine

__all__ = ["RayEngine"]
