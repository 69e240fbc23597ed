"""Autoencoders: an encoder and a decoder, joined by a code that may name a class.

Taught in the chapters on autoencoder design, on classification supervision and on results.
"""

from csae.models.autoencoders import Autoencoder, AutoencoderOutput, check_decodes
from csae.models.classifying import ARRANGEMENTS, CSAE, ClassifyingAutoencoder, CSAEOutput
from csae.models.likelihoods import (
    LIKELIHOODS,
    active_dimensions,
    gaussian_divergence,
    log_likelihood,
)
from csae.models.principal import pca_autoencoder
from csae.models.variational import VAE, ConditionalVAE, Posterior, VAEOutput

__all__ = [
    "ARRANGEMENTS",
    "CSAE",
    "LIKELIHOODS",
    "VAE",
    "Autoencoder",
    "AutoencoderOutput",
    "CSAEOutput",
    "ClassifyingAutoencoder",
    "ConditionalVAE",
    "Posterior",
    "VAEOutput",
    "active_dimensions",
    "check_decodes",
    "gaussian_divergence",
    "log_likelihood",
    "pca_autoencoder",
]
