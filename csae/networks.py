"""Encoder and decoder: the two networks that `csae.models` joins.

Taught in the chapter on autoencoder design. Default sizes follow the description of the authors'
published network: 282,185 parameters at 40 latent dimensions, 32x32 grey images in and out.
`layer_table` takes a network apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from csae import checks

ARCHITECTURES = ("residual", "fully_connected")


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of an encoder and its decoder.

    `NetworkConfig()` is the authors' published convolutional pair,
    `NetworkConfig.fully_connected()` the pair 784-400-40-400-784 beside it.

    Attributes:
        architecture: ``"residual"`` (convolutional) or ``"fully_connected"``.
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

    architecture: str = "residual"
    latent_dim: int = 40
    widths: tuple[int, ...] = (16, 32, 64, 64)
    image_size: int = 32
    channels: int = 1

    def __post_init__(self) -> None:
        checks.choice("architecture", self.architecture, ARCHITECTURES)
        for name in ("latent_dim", "image_size", "channels"):
            object.__setattr__(self, name, checks.integer(name, getattr(self, name), 1))
        widths = checks.sequence("widths", self.widths, "integers")
        widths = tuple(checks.integer("widths", width, 1) for width in widths)
        object.__setattr__(self, "widths", widths)
        if self.architecture == "residual":
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
    if config.architecture == "fully_connected":
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
    if config.architecture == "fully_connected":
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


def at_least_float32(outputs: Tensor) -> Tensor:
    """Convert what bfloat16 autocast returns: 8 significant bits are too few for sums."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


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
        for part in dict.fromkeys(layer.part for layer in self.layers):
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
def layer_table(model: nn.Module) -> LayerTable:
    """Pass zeros through a model and note what each layer makes of them, and its cost.

    PyTorch's own counter counts the operations that really run, two for each multiply-add.

    Args:
        model: With an ``encoder`` and, if it decodes, a ``decoder``, as those of `csae.models`, in
            any mode; it is left in the mode it came in.

    Raises:
        ValueError: ``model`` is no such model.

    Equations: convolution-cost.
    """
    config = getattr(checks.instance("model", model, nn.Module), "config", None)
    if not (isinstance(config, NetworkConfig) and hasattr(model, "encoder")):
        raise ValueError(
            f"model must have an encoder and a decoder, got {type(model).__name__}; the models of "
            "csae.models have them"
        )
    own: Any = model
    read = own.encoder_config  # each half may take more than images and codes
    inputs: dict[str, tuple[int, ...]]
    inputs = {"encoder": (read.channels, read.image_size, read.image_size)}
    if hasattr(model, "decoder"):
        inputs["decoder"] = (own.decoder_config.latent_dim,)
    some = next(model.parameters())
    was_training = model.training
    model.eval()
    layers = []
    try:
        for part, entry in inputs.items():
            features = some.new_zeros(1, *entry)
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
