"""Wavelet transforms of images that gradients flow through, losses made of them, and measures.

Taught in the chapter on the wavelet loss. This package needs nothing of the rest but its argument
checks.
"""

from csae.wavelets.losses import NORMS, SobelLoss, WaveletLoss
from csae.wavelets.measures import Spectrum, band_energies, gradient_energy, radial_spectrum
from csae.wavelets.transforms import (
    MODES,
    WAVELETS,
    Details,
    dwt2,
    idwt2,
    wavedec2,
    waverec2,
)

__all__ = [
    "MODES",
    "NORMS",
    "WAVELETS",
    "Details",
    "SobelLoss",
    "Spectrum",
    "WaveletLoss",
    "band_energies",
    "dwt2",
    "gradient_energy",
    "idwt2",
    "radial_spectrum",
    "wavedec2",
    "waverec2",
]
