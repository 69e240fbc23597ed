"""The classification-supervised autoencoder: encoder, decoder and the model that joins them.

Taught in the chapter on autoencoder design. Default sizes follow the description of the authors'
published network: 282,185 parameters at 40 latent dimensions, 32x32 grey images in and out.
`layer_table` takes a network apart; `pca_autoencoder` is the best linear one, in closed form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from csae import checks
from csae.noise import GaussianNoise

KINDS = ("residual", "fully_connected")
# Squares of norms in between neither vanish nor overflow in float32.
_SMALLEST_NORM, _LARGEST_NORM = 1e-15, 1e15


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of an encoder and its decoder.

    `NetworkConfig()` is the authors' published convolutional pair,
    `NetworkConfig.fully_connected()` the pair 784-400-40-400-784 beside it.

    Attributes:
        kind: ``"residual"`` (convolutional) or ``"fully_connected"``.
        latent_dim: Dimensions of a code, at least 1.
        widths: Residual: channels after the first convolution, then after each block that halves
            height and width; two widths or more. Fully connected: units of each hidden layer,
            first encoder layer first; none makes a linear autoencoder.
        image_size: Height and width of the images in pixels. Residual: a multiple of
            ``2**(len(widths) - 1)`` and at least twice that. The data sets' images have 28 pixels;
            a larger size pads them with black.
        channels: Channels of the images, 1 for grey.

    Raises:
        ValueError: An argument is out of range.
    """

    kind: str = "residual"
    latent_dim: int = 40
    widths: tuple[int, ...] = (16, 32, 64, 64)
    image_size: int = 32
    channels: int = 1

    def __post_init__(self) -> None:
        checks.choice("kind", self.kind, KINDS)
        for name in ("latent_dim", "image_size", "channels"):
            object.__setattr__(self, name, checks.integer(name, getattr(self, name), 1))
        widths = checks.sequence("widths", self.widths, "integers")
        widths = tuple(checks.integer("widths", width, 1) for width in widths)
        object.__setattr__(self, "widths", widths)
        if self.kind == "residual":
            self._check_blocks()

    def _check_blocks(self) -> None:
        """Refuse widths and image sizes that the residual blocks cannot halve."""
        if len(self.widths) < 2:
            raise ValueError(
                f"widths must hold at least 2 integers for a residual network, got {self.widths!r}"
            )
        multiple = 2 ** (len(self.widths) - 1)
        if self.image_size % multiple or self.image_size < 2 * multiple:
            raise ValueError(
                f"image_size must be a multiple of {multiple} and at least {2 * multiple}, for "
                f"{len(self.widths) - 1} blocks that halve it, got {self.image_size}"
            )

    @classmethod
    def fully_connected(cls, latent_dim: int = 40) -> NetworkConfig:
        """Return the sizes of the published fully connected pair, 784-400-40-400-784."""
        return cls("fully_connected", latent_dim, widths=(400,), image_size=28)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a 1x1 shortcut; halves height and width.

    (N, in, H, W) -> (N, out, ceil(H/2), ceil(W/2))

    Equations: residual-block.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        in_channels = checks.integer("in_channels", in_channels, 1)
        out_channels = checks.integer("out_channels", out_channels, 1)
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (N, out, ceil(H/2), ceil(W/2)) of features (N, in, H, W)."""
        return torch.relu(self.body(x) + self.shortcut(x))


def encoder(config: NetworkConfig) -> nn.Sequential:
    """Build the encoder, (N, channels, image_size, image_size) -> (N, latent_dim).

    Shapes in the comments are those of the published network.

    Equations: convolution-size.
    """
    checks.instance("config", config, NetworkConfig)
    if config.kind == "fully_connected":
        pixels = config.channels * config.image_size**2
        return nn.Sequential(nn.Flatten(), *_dense(pixels, *config.widths, config.latent_dim))
    first, *_, last = config.widths
    size = config.image_size - 2  # the first convolution has no padding
    for _ in config.widths[1:]:
        size = math.ceil(size / 2)
    return nn.Sequential(
        nn.Conv2d(config.channels, first, 3),  # (N, 16, 30, 30)
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        # (N, 32, 15, 15), (N, 64, 8, 8), (N, 64, 4, 4)
        *(ResidualBlock(a, b) for a, b in pairwise(config.widths)),
        nn.Flatten(),
        nn.Linear(last * size**2, config.latent_dim),
    )


def _dense(*sizes: int) -> list[nn.Module]:
    """Linear layers with ReLU between them, none after the last."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
    return layers[:-1]


class PatchUpsample(nn.ConvTranspose2d):
    """Transposed convolution whose stride equals its kernel, computed as one matrix product.

    Patches then never overlap: each pixel becomes its own 2x2 patch. Same parameters and same
    result as `torch.nn.ConvTranspose2d`, in less time on a CPU.

    (N, in, H, W) -> (N, out, 2H, 2W)

    Equations: patch-upsample.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        in_channels = checks.integer("in_channels", in_channels, 1)
        out_channels = checks.integer("out_channels", out_channels, 1)
        super().__init__(in_channels, out_channels, kernel_size=2, stride=2)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Return features (N, out, 2H, 2W) of features (N, in, H, W)."""
        (n, _, height, width), out = x.shape, self.out_channels
        weight = self.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (2 * 2 * out, in)
        # Added here, the bias keeps bfloat16 features what they are.
        bias = None if self.bias is None else self.bias.repeat(4)
        patches = nn.functional.linear(x.permute(0, 2, 3, 1), weight, bias)  # (N, H, W, 4 * out)
        patches = patches.view(n, height, width, 2, 2, out).permute(0, 1, 3, 2, 4, 5)
        pixels = patches.reshape(n, 2 * height, 2 * width, out)
        return pixels.permute(0, 3, 1, 2)  # channels-last in memory


def _upsample(in_channels: int, hidden: int, out_channels: int) -> list[nn.Module]:
    """Layers that double height and width: transposed 2x2, then 3x3, batch norm, ReLU."""
    return [
        PatchUpsample(in_channels, hidden),
        nn.Conv2d(hidden, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


def decoder(config: NetworkConfig) -> nn.Sequential:
    """Build the decoder, (N, latent_dim) -> (N, channels, image_size, image_size).

    Each block of the encoder has its counterpart. Its transposed convolution halves the channels;
    the last block ends with as many as the encoder's first convolution has.
    """
    checks.instance("config", config, NetworkConfig)
    shape = (config.channels, config.image_size, config.image_size)
    if config.kind == "fully_connected":
        layers = _dense(config.latent_dim, *reversed(config.widths), math.prod(shape))
        return nn.Sequential(*layers, nn.Unflatten(1, shape))
    widths = config.widths[::-1]
    size = config.image_size // 2 ** (len(widths) - 1)
    # 64 -> 32 -> 64, 64 -> 32 -> 32, 32 -> 16 -> 16 in the published network
    blocks = [_upsample(a, max(a // 2, 1), b) for a, b in pairwise(widths)]
    return nn.Sequential(
        nn.Linear(config.latent_dim, widths[0] * size**2),
        nn.Unflatten(1, (widths[0], size, size)),  # (N, 64, 4, 4)
        *(layer for block in blocks for layer in block),  # (N, 16, 32, 32)
        nn.Conv2d(widths[-1], config.channels, 1),
    )


class AutoencoderOutput(NamedTuple):
    """What one forward pass yields for a batch of N images.

    Attributes:
        reconstructions: As the images, nominally in [-1, 1]; not clipped.
        latents: (N, d) codes, before any noise.
    """

    reconstructions: Tensor
    latents: Tensor


class Autoencoder(nn.Module):
    """Encoder and decoder joined by a code; it learns without labels.

    An invertible map of the codes, undone by the decoder, changes no reconstruction: what the
    error fixes is the images, and the codes only up to such maps.

    Equations: latent-freedom.

    Attributes:
        replayable: Whether training steps differ in their values only, so that their kernels can
            be recorded and replayed, and the output is a named tuple of tensors. A subclass that
            decides things from step to step sets it to false.

    Args:
        config: Sizes of the networks; the published convolutional pair by default.
        noise: Standard deviation of the Gaussian noise on each dimension of a code, zero or more.
            It acts in training mode only.

    Raises:
        ValueError: ``noise`` is negative or not finite, or ``config`` is none.
    """

    replayable = True

    def __init__(self, config: NetworkConfig | None = None, *, noise: float = 0.0) -> None:
        super().__init__()
        noise = checks.number("noise", noise, least=0)
        self.config = NetworkConfig() if config is None else config
        self.encoder = encoder(self.config)
        self.noise = GaussianNoise(noise)
        self.decoder = decoder(self.config)

    @property
    def latent_dim(self) -> int:
        """Dimensions of a code."""
        return self.config.latent_dim

    @property
    def image_size(self) -> int:
        """Height and width in pixels of the images that go in and come out."""
        return self.config.image_size

    def encode(self, images: Tensor) -> Tensor:
        """Return codes (N, d) of images (N, channels, image_size, image_size) in [-1, 1].

        Raises:
            ValueError: The images have another shape or another type than the weights.
        """
        shape = ("N", self.config.channels, self.image_size, self.image_size)
        hint = "csae.data.prepare makes such images, in [-1, 1], from those of a data set"
        self._check_input("images", images, shape, hint)
        latents: Tensor = self.encoder(images)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Return images as the encoder takes them, nominally in [-1, 1], from codes (N, d).

        Raises:
            ValueError: The codes have another shape or another type than the weights.
        """
        self._check_input("latents", latents, ("N", self.latent_dim))
        images: Tensor = self.decoder(latents)
        return images

    def forward(self, images: Tensor) -> AutoencoderOutput | CSAEOutput:
        """Encode and reconstruct; the code is noisy in training mode."""
        latents = self.encode(images)
        return AutoencoderOutput(self.decode(self.noise(latents)), latents)

    def _check_input(
        self, argument: str, value: Tensor, shape: tuple[int | str, ...], hint: str = ""
    ) -> None:
        """Check shape and type; the values stay unread, so that no device has to be waited for."""
        checks.tensor(argument, value, shape, floating=True, least=0, hint=hint)
        self._check_type(argument, value)

    def _check_codes(self, latents: Tensor) -> None:
        """Check codes of any number of axes, as `_check_input` does."""
        checks.tensor("latents", latents, floating=True)
        if latents.shape[-1:] != (self.latent_dim,):
            raise ValueError(
                f"latents must have shape (N, {self.latent_dim}), got {checks.show(latents)}"
            )
        self._check_type("latents", latents)

    def _check_type(self, argument: str, value: Tensor) -> None:
        wanted = next(self.parameters(), value).dtype
        if value.dtype == wanted:
            return
        # Autocast converts all types but float64.
        if value.dtype == torch.float64 or not torch.is_autocast_enabled(value.device.type):
            own = str(wanted).removeprefix("torch.")
            raise ValueError(
                f"{argument} must be {own}, as the weights of the model are, got "
                f"{checks.show(value)}"
            )


@torch.no_grad()
def pca_autoencoder(images: Tensor, latent_dim: int) -> Autoencoder:
    """Return the linear autoencoder with the least squared error on some images.

    No linear encoder and decoder reconstruct these images better (Eckart and Young 1936). Its code
    holds the coordinates along the principal components, the one of largest variance first.

    Args:
        images: (N, C, S, S) floating-point, as `csae.data.prepare` returns them.
        latent_dim: Dimensions of a code, from 1 to the C * S * S pixels of an image.

    Returns:
        A fully connected network without hidden layers, in evaluation mode. The columns of its
        decoder's weight are orthonormal; in each, the entry of largest size is positive.

    Raises:
        ValueError: An argument is out of range.

    Equations: principal-code, discarded-variance.
    """
    checks.tensor("images", images, ("N", "C", "S", "S"), floating=True, finite=True)
    channels, size = images.shape[1:3]
    latent_dim = checks.integer("latent_dim", latent_dim, 1, channels * size**2)
    config = NetworkConfig("fully_connected", latent_dim, (), size, channels)
    pixels = images.flatten(1).double()  # (N, P)
    mean = pixels.mean(dim=0)
    centred = pixels - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred / len(pixels))  # smallest variance first
    components = vectors.flip(1)[:, :latent_dim]  # (P, d)
    largest = components.gather(0, components.abs().argmax(dim=0, keepdim=True))
    components = components * largest.sign()
    model = Autoencoder(config)
    model.load_state_dict(
        {
            "encoder.1.weight": components.T,
            "encoder.1.bias": -components.T @ mean,
            "decoder.0.weight": components,
            "decoder.0.bias": mean,
        }
    )
    return model.eval()


class Layer(NamedTuple):
    """One line of a `LayerTable`.

    Attributes:
        part: ``"encoder"`` or ``"decoder"``.
        name: Class of the layer; a residual block counts as one layer.
        shape: Shape of its output for one image, without the batch dimension.
        parameters: How many values training changes.
        multiply_adds: Multiplications, each with its addition, for one image. Convolutions and
            linear layers only: normalisation, activations and biases cost little beside them.
    """

    part: str
    name: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class LayerTable:
    """The layers of an autoencoder and what they cost; prints as a table of 68 columns.

    Attributes:
        layers: Encoder first, in the order in which an image passes them.
    """

    layers: tuple[Layer, ...]

    def of(self, part: str) -> LayerTable:
        """Return the table of one part, ``"encoder"`` or ``"decoder"``."""
        return LayerTable(tuple(layer for layer in self.layers if layer.part == part))

    @property
    def parameters(self) -> int:
        """Parameters of all layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of all layers for one image."""
        return sum(layer.multiply_adds for layer in self.layers)

    def __str__(self) -> str:
        lines = [_line("", "layer", "output", "parameters", "multiply-adds")]
        for part in ("encoder", "decoder"):
            of_part = self.of(part)
            for layer in of_part.layers:
                shape = " x ".join(map(str, layer.shape))
                numbers = (f"{n:,}" if n else "-" for n in (layer.parameters, layer.multiply_adds))
                lines.append(_line(part, layer.name, shape, *numbers))
            lines += [_sum(part, of_part), ""]
        return "\n".join([*lines, _sum("both", self)])


def _line(*cells: str) -> str:
    return "{:8} {:14} {:>14}  {:>12} {:>15}".format(*cells).rstrip()


def _sum(name: str, table: LayerTable) -> str:
    return _line(name, "sum", "", f"{table.parameters:,}", f"{table.multiply_adds:,}")


@torch.no_grad()
def layer_table(model: Autoencoder) -> LayerTable:
    """Pass one black image through a model and note what each layer makes of it, and its cost.

    PyTorch's own counter counts the operations that really run, two for each multiply-add.

    Args:
        model: Any mode; it is left in the mode it came in.

    Equations: convolution-cost.
    """
    checks.instance("model", model, Autoencoder)
    some = next(model.parameters())
    size = model.image_size
    features = some.new_zeros(1, model.config.channels, size, size)
    was_training = model.training
    model.eval()
    layers = []
    try:
        for part in ("encoder", "decoder"):
            for layer in getattr(model, part):
                with FlopCounterMode(display=False) as counter:
                    features = layer(features)
                parameters = sum(p.numel() for p in layer.parameters() if p.requires_grad)
                shape = tuple(features.shape[1:])
                cost = counter.get_total_flops() // 2
                layers.append(Layer(part, type(layer).__name__, shape, parameters, cost))
    finally:
        model.train(was_training)
    return LayerTable(tuple(layers))


class CSAEOutput(NamedTuple):
    """What one forward pass yields for a batch of N images.

    Attributes:
        reconstructions: As the images, nominally in [-1, 1]; not clipped.
        similarities: (N, K) similarities of the codes to the centroids, 1 on a centroid itself.
        latents: (N, d) codes, before any noise.
    """

    reconstructions: Tensor
    similarities: Tensor
    latents: Tensor


class ClassifyingAutoencoder(Autoencoder):
    """Autoencoder whose code also names the class. Subclasses say how, in `similarities`.

    Attributes:
        num_classes: Number of classes K.
    """

    num_classes: int

    def similarities(self, latents: Tensor) -> Tensor:
        """Return scores (N, K) of codes (N, d); the largest names the class."""
        raise NotImplementedError

    def classify(self, images: Tensor) -> Tensor:
        """Return int64 labels (N,) in 0..K-1: the class of the largest score."""
        return self.similarities(self.encode(images)).argmax(dim=1)

    def forward(self, images: Tensor) -> CSAEOutput:
        """Encode, then classify and reconstruct from the same code, noisy in training mode."""
        latents = self.encode(images)
        noisy = self.noise(latents)
        return CSAEOutput(self.decode(noisy), self.similarities(noisy), latents)


class CSAE(ClassifyingAutoencoder):
    """Classification-supervised autoencoder on fixed class centroids.

    One code per image serves two purposes: its nearest centroid names the class, and the decoder
    turns it back into the image. The centroids are fixed; they are never trained.

    Args:
        centroids: (K, d) class centroids of one common norm, such as ``simplex`` returns.
        noise: Standard deviation of the latent noise in each dimension, as a fraction of the
            centroids' norm; zero or more. It acts in training mode only.
        config: Sizes of the networks; its ``latent_dim`` is that of the centroids. The published
            convolutional pair by default.

    Raises:
        ValueError: The centroids are not a finite (K, d) tensor of K >= 2 different rows of one
            common norm between 1e-15 and 1e15, they do not fit ``config``, or ``noise`` is
            negative or not finite.
    """

    centroids: Tensor

    def __init__(
        self, centroids: Tensor, *, noise: float = 0.04, config: NetworkConfig | None = None
    ) -> None:
        norm = _common_norm(centroids)
        noise = checks.number("noise", noise, least=0)
        latent_dim = centroids.shape[1]
        if config is None:
            config = NetworkConfig(latent_dim=latent_dim)
        checks.instance("config", config, NetworkConfig)
        if config.latent_dim != latent_dim:
            raise ValueError(
                f"centroids have {latent_dim} dimensions, but config.latent_dim is "
                f"{config.latent_dim}"
            )
        super().__init__(config, noise=noise * norm)
        self.num_classes = len(centroids)
        self.noise_ratio = noise
        self.register_buffer("centroids", centroids.float())

    def similarities(self, latents: Tensor) -> Tensor:
        """Return the similarity (N, K) of codes (N, d) to the centroids: z . c_k / |c_k|^2.

        Codes may have more axes than two; the similarities have the same ones before the last.

        It is 1 on a centroid itself, and -1/(K - 1) on the other centroids of a simplex. As all
        centroids have the same norm, the most similar centroid is also the nearest one.

        Equations: nearest-is-most-similar.

        Raises:
            ValueError: The codes have other dimensions or another type than the weights.
        """
        self._check_codes(latents)
        return latents @ (self.centroids / self.centroids.square().sum(dim=1, keepdim=True)).T


def _common_norm(centroids: Tensor) -> float:
    """Check centroids; return the norm that they share."""
    hint = "csae.pedcc and csae.simplex make them"
    checks.tensor("centroids", centroids, ("K", "d"), floating=True, hint=hint)
    if len(centroids) < 2:
        raise ValueError(f"centroids must be at least 2, got {checks.show(centroids)}")
    norms = centroids.detach().double().norm(dim=1)
    norm: float = norms.mean().item()
    # Nearest centroid and largest similarity agree only when all norms are equal.
    shared = torch.allclose(norms, norms.mean(), rtol=1e-5, atol=0)
    if not (shared and _SMALLEST_NORM <= norm <= _LARGEST_NORM):
        raise ValueError(
            "centroids must be finite with rows of one common positive norm, from "
            f"{_SMALLEST_NORM:g} to {_LARGEST_NORM:g}, got norms from {norms.min().item():.6g} to "
            f"{norms.max().item():.6g}"
        )
    if len(torch.unique(centroids.detach().float(), dim=0)) < len(centroids):
        raise ValueError("centroids must differ from each other, got some that are the same")
    return norm
