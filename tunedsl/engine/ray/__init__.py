"""The Ray engine: pooled actors that run many trials each. The only room that imports Ray.

Import it lazily: `import ray` takes seconds.
"""

from tunedsl.engine.ray.engine import RayEngine

__all__ = ["RayEngine"]
