"""Label-free scores of one network: the strength of its representation.

They take what a network makes of unlabelled images, and nothing of the target
besides. Each is a function in a module of this package: a module is all that a
new one takes. `score` finds it by its name.
"""

from transferability.label_free.registry import Strength, info, names, score

__all__ = ['Strength', 'info', 'names', 'score']
