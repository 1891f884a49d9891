"""Full-catalogue ranking, metrics and the two evaluation protocols."""

from onebp_jax.evaluation.evaluator import KS, evaluator
from onebp_jax.evaluation.metrics import accuracy, beyond_accuracy, hits_of
from onebp_jax.evaluation.ranking import plan, top_k

__all__ = ["KS", "accuracy", "beyond_accuracy", "evaluator", "hits_of", "plan", "top_k"]
