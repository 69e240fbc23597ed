"""Class centroids: points spread as evenly as possible over a hypersphere.

Taught in the chapter on PEDCC geometry (predefined, evenly distributed class centroids). This
package needs nothing of the rest but argument checks and the progress bar. Everything is computed
in float64, on the CPU.
"""

from csae.centroids.arrangement import pedcc
from csae.centroids.bounds import Bound, Separation, bound, separation
from csae.centroids.charges import charge_model
from csae.centroids.constructions import PEDCC, orthoplex, polygon, random_directions, simplex
from csae.centroids.nearest import nearest_centroid
from csae.centroids.search import spherical_code
from csae.centroids.subspace import class_component, class_subspace

__all__ = [
    "PEDCC",
    "Bound",
    "Separation",
    "bound",
    "charge_model",
    "class_component",
    "class_subspace",
    "nearest_centroid",
    "orthoplex",
    "pedcc",
    "polygon",
    "random_directions",
    "separation",
    "simplex",
    "spherical_code",
]
