"""The wavelet transform against PyWavelets, and what the losses and measures promise."""

import math
import warnings

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from csae.wavelets import (
    MODES,
    WAVELETS,
    SobelLoss,
    WaveletLoss,
    band_energies,
    dwt2,
    gradient_energy,
    idwt2,
    radial_spectrum,
    wavedec2,
    waverec2,
)

ORTHOGONAL = [w for w in WAVELETS if pywt.Wavelet(w).orthogonal and w != "dmey"]
# dmey is called orthogonal, but its filter is cut off: it reconstructs to a few thousandths only.
# Even, odd, oblong; smaller than most filters. One for each pair, in turn.
SIZES = [(32, 32), (33, 28), (9, 16), (7, 7), (5, 3), (64, 17), (2, 6)]


def flat(coefficients):
    return [coefficients[0], *(band for details in coefficients[1:] for band in details)]


def images(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def assert_same(ours, theirs, tolerance):
    """Equal to a tolerance, relative where coefficients are large.

    Mode "smooth" continues slopes: beyond images smaller than the filter they reach thousands.
    """
    ours, theirs = flat(ours), flat(theirs)
    scale = max(1.0, *(np.abs(band).max() for band in theirs))
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert np.abs(a.detach().double().numpy() - b).max() <= tolerance * scale


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("first", range(7))
def test_one_step_is_that_of_pywavelets(mode, first):
    """Every wavelet and mode, there and back, in double and single precision."""
    for turn, wavelet in enumerate(WAVELETS[first::7]):
        height, width = SIZES[(turn + first) % len(SIZES)]
        x = images(2, 1, height, width, seed=turn)
        theirs = pywt.dwt2(x.numpy(), wavelet, mode)
        ours = dwt2(x, wavelet, mode)
        assert_same(ours, theirs, 1e-12)
        assert_same(dwt2(x.float(), wavelet, mode), theirs, 1e-5)
        back = idwt2(ours, wavelet, mode)
        assert np.abs(back.numpy() - pywt.idwt2(theirs, wavelet, mode)).max() <= 1e-12
        if wavelet != "dmey":
            scale = max(1.0, *(band.abs().max() for band in flat(ours)))
            restored = back[..., :height, :width]
            assert (restored - x).abs().max() <= 1e-10 * scale, wavelet


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("first", range(3))
def test_levels_are_those_of_pywavelets(mode, first):
    # Mode "smooth" multiplies what it continues, rounding too, at each level.
    tolerance = 1e-11 if mode == "smooth" else 1e-12
    for turn, wavelet in enumerate(WAVELETS[first::7]):
        shape = (1, 2, *SIZES[(turn + 3 * first) % 4])
        level = 1 + (turn + first) % 3
        x = images(*shape, seed=turn)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that levels are many for the filter
            theirs = pywt.wavedec2(x.numpy(), wavelet, mode, level)
        ours = wavedec2(x, wavelet, mode, level)
        assert_same(ours, theirs, tolerance)
        back = waverec2(ours, wavelet, mode)
        theirs_back = pywt.waverec2(theirs, wavelet, mode)
        assert back.shape == theirs_back.shape
        scale = max(1.0, *(band.abs().max() for band in flat(ours)))
        assert np.abs(back.numpy() - theirs_back).max() <= tolerance * scale


def test_every_wavelet_and_mode_is_tested():
    assert len(WAVELETS) == len(pywt.wavelist(kind="discrete")) > 100
    assert set(MODES) == set(pywt.Modes.modes)
    assert {w for first in range(7) for w in WAVELETS[first::7]} == set(WAVELETS)


def test_levels_by_default_are_those_of_pywavelets():
    x = images(1, 1, 40, 33)
    for wavelet in ("haar", "db3", "bior4.4"):
        assert_same(wavedec2(x, wavelet), pywt.wavedec2(x.numpy(), wavelet), 1e-12)
    assert len(wavedec2(x, "db20")) == 1  # the filter is longer than the image


def test_equation_haar_step():
    x = images(3, 2, 8, 6)
    a, b = x[..., ::2, ::2], x[..., ::2, 1::2]
    c, d = x[..., 1::2, ::2], x[..., 1::2, 1::2]
    approximation, (horizontal, vertical, diagonal) = dwt2(x, "haar")
    for band, expected in (
        (approximation, (a + b + c + d) / 2),
        (horizontal, (a + b - c - d) / 2),
        (vertical, (a - b + c - d) / 2),
        (diagonal, (a - b - c + d) / 2),
    ):
        assert torch.allclose(band, expected, atol=1e-14)


@pytest.mark.parametrize("mode", MODES)
def test_equation_matrix_step(mode):
    """The transform of unit vectors gives a matrix A for each axis, and dwt2 is A X A^T."""
    x = images(1, 1, 12, 7)

    def matrix(n):
        # An image that does not change down a column: its horizontal low-pass is that of a row.
        low, high = zip(*(pywt.dwt(row, "db2", mode) for row in np.eye(n)), strict=True)
        return torch.tensor(np.concatenate((low, high), axis=1).T)

    packed = matrix(12) @ x @ matrix(7).T
    approximation, (horizontal, vertical, diagonal) = dwt2(x, "db2", mode)
    top = torch.cat((approximation, vertical), dim=-1)
    bottom = torch.cat((horizontal, diagonal), dim=-1)
    assert torch.allclose(torch.cat((top, bottom), dim=-2), packed, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_equation_perfect_reconstruction(mode):
    for wavelet in ("haar", "db4", "sym5", "coif2", "bior2.4", "rbio3.3"):
        for height, width in ((32, 32), (31, 9), (4, 5)):
            x = images(2, 1, height, width)
            coefficients = wavedec2(x, wavelet, mode, 2)
            restored = waverec2(coefficients, wavelet, mode)[..., :height, :width]
            assert (restored - x).abs().max() < 1e-10, (wavelet, height)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wavelet", ["haar", "db3", "bior2.2"])
def test_gradients(wavelet, mode):
    x = images(1, 1, 5, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: flat(wavedec2(x, wavelet, mode, 2)), x)
    bands = [band.detach().requires_grad_() for band in flat(wavedec2(x, wavelet, mode, 1))]
    assert torch.autograd.gradcheck(lambda a, *d: idwt2((a, d), wavelet, mode), bands)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_gradients_of_the_losses(norm):
    x, y = images(1, 1, 4, 6).requires_grad_(), images(1, 1, 4, 6, seed=1)
    assert torch.autograd.gradcheck(WaveletLoss("db2", 2, "all", norm), (x, y))
    assert torch.autograd.gradgradcheck(WaveletLoss("db2", 2, "all", "l2"), (x, y))
    assert torch.autograd.gradcheck(SobelLoss(), (x, y))


def test_strides_do_not_matter():
    x = images(4, 3, 32, 32, dtype=torch.float32)
    expected = flat(wavedec2(x, "db2", level=2))
    for other in (
        x.contiguous(memory_format=torch.channels_last),
        x.transpose(-1, -2).contiguous().transpose(-1, -2),
        x.repeat_interleave(2, dim=-1)[..., ::2],
    ):
        assert not other.is_contiguous()
        for a, b in zip(flat(wavedec2(other, "db2", level=2)), expected, strict=True):
            assert torch.allclose(a, b, atol=1e-6)
    single = dwt2(x[0, 0], "db2")[0]  # any leading dimensions will do
    assert torch.allclose(single, dwt2(x, "db2")[0][0, 0], atol=1e-6)
    assert dwt2(x[:0], "db2")[0].shape == (0, 3, 17, 17)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(dtype):
    x = images(2, 1, 16, 16, dtype=dtype)
    for half, single in zip(dwt2(x, "db2")[1], dwt2(x.float(), "db2")[1], strict=True):
        assert half.dtype == dtype
        assert torch.equal(half, single.to(dtype))
    loss = WaveletLoss()(x, torch.zeros(2, 1, 16, 16))
    assert loss.dtype == torch.float32


def test_autocast_costs_no_precision():
    x, y = images(2, 1, 16, 16, dtype=torch.float32), torch.zeros(2, 1, 16, 16)
    for loss in (WaveletLoss("db2"), SobelLoss()):
        with torch.autocast("cpu", torch.bfloat16):
            inside = loss(x, y)
        assert torch.equal(inside, loss(x, y))
    with torch.autocast("cpu", torch.bfloat16):
        inside = dwt2(x, "db2")[0]
    assert torch.equal(inside, dwt2(x, "db2")[0])


def test_matrices_made_in_inference_mode_can_be_trained_through():
    x = torch.ones(1, 1, 46, 46, requires_grad=True)  # no other test has this size
    with torch.inference_mode():
        dwt2(x, "db7")
    dwt2(x, "db7")[0].sum().backward()
    assert x.grad is not None


sides = st.integers(1, 20)
orthogonal = st.sampled_from(ORTHOGONAL)
seeds = st.integers(0, 2**31)


@settings(max_examples=60, deadline=None)
@given(
    wavelet=st.sampled_from(WAVELETS),
    mode=st.sampled_from([mode for mode in MODES if mode != "smooth"]),
    height=st.integers(2, 20),
    width=st.integers(2, 20),
    factor=st.floats(-10, 10),
    seed=seeds,
)
def test_transform_is_linear(wavelet, mode, height, width, factor, seed):
    x, y = images(2, 1, 1, height, width, seed=seed)
    together = flat(dwt2(x + factor * y, wavelet, mode))
    apart = zip(flat(dwt2(x, wavelet, mode)), flat(dwt2(y, wavelet, mode)), strict=True)
    for band, (of_x, of_y) in zip(together, apart, strict=True):
        scale = 1 + max(of_x.abs().max(), of_y.abs().max())
        assert (band - of_x - factor * of_y).abs().max() <= 1e-11 * scale


@settings(max_examples=60, deadline=None)
@given(wavelet=orthogonal, levels=st.integers(1, 3), height=sides, width=sides, seed=seeds)
def test_equation_parseval(wavelet, levels, height, width, seed):
    x = images(2, 1, height * 2**levels, width * 2**levels, seed=seed)
    shares = band_energies(x, wavelet, levels)
    assert len(shares) == 1 + 3 * levels
    assert sum(shares.values()) == pytest.approx(x.square().mean().item(), rel=1e-9)
    # The bands are those of wavedec2, in its order.
    coefficients = wavedec2(x, wavelet, "periodization", levels)
    sizes = [band.square().sum().item() / x.numel() for band in flat(coefficients)]
    assert list(shares.values()) == pytest.approx(sizes, rel=1e-12)
    assert list(shares)[:2] == [f"A{levels}", f"H{levels}"]


def test_biorthogonal_wavelets_do_not_keep_the_energy():
    x = images(2, 1, 32, 32)
    total = sum(band_energies(x, "bior2.2").values()) / x.square().mean().item()
    assert total != pytest.approx(1, rel=0.02)


@settings(max_examples=60, deadline=None)
@given(wavelet=orthogonal, levels=st.integers(1, 3), height=sides, width=sides, seed=seeds)
def test_equation_loss_is_mse(wavelet, levels, height, width, seed):
    """All bands at weight 1: the mean squared error, and its gradient, to rounding."""
    x, y = images(2, 2, 1, height * 2**levels, width * 2**levels, seed=seed)
    x.requires_grad_()
    loss = WaveletLoss(wavelet, levels, bands="all")(x, y)
    mse = nn.functional.mse_loss(x, y)
    assert loss.item() == pytest.approx(mse.item(), rel=1e-9)
    (of_loss,), (of_mse,) = torch.autograd.grad(loss, x), torch.autograd.grad(mse, x)
    assert (of_loss - of_mse).abs().max() <= 1e-9 * of_mse.abs().max()


def test_loss_is_mse_for_every_orthogonal_wavelet():
    x, y = images(2, 4, 1, 32, 32)
    mse = nn.functional.mse_loss(x, y).item()
    for wavelet in ORTHOGONAL:
        assert WaveletLoss(wavelet, 3, "all")(x, y).item() == pytest.approx(mse, rel=1e-9)
    single = WaveletLoss("haar", 3, "all")(x.float(), y.float()).item()
    assert single == pytest.approx(mse, rel=1e-5)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_equation_wavelet_loss(norm):
    """Each band's weight times the size of its coefficients' differences, over all pixels."""
    x, y = images(2, 3, 2, 16, 8)
    weights = (0.5, 0.0, 3.0, 2.0)
    ours = wavedec2(x, "sym2", "periodization", 3)
    theirs = wavedec2(y, "sym2", "periodization", 3)
    total = 0.0
    for weight, a, b in zip(weights, ours, theirs, strict=True):
        pairs = [(a, b)] if isinstance(a, torch.Tensor) else list(zip(a, b, strict=True))
        for of_x, of_y in pairs:
            size = (of_x - of_y).abs() if norm == "l1" else (of_x - of_y).square()
            total += weight * size.sum().item()
    loss = WaveletLoss("sym2", 3, weights, norm)
    assert loss(x, y).item() == pytest.approx(total / x.numel(), rel=1e-12)
    assert loss(x, x).item() == 0
    assert "sym2" in repr(loss)


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 4, 16), (5, 0.1, 2)])
def test_equation_same_best_image(weights):
    """One image for many: under weighted squares the best is their mean, whatever the weights."""
    group = images(7, 1, 8, 8)
    loss = WaveletLoss("db2", 2, weights)
    best = images(1, 1, 8, 8, seed=1).requires_grad_()

    def gradient():
        value = loss(best.expand_as(group), group)
        (slope,) = torch.autograd.grad(value, best, create_graph=True)
        return slope.flatten()

    hessian = torch.autograd.functional.hessian(
        lambda x: loss(x.view(1, 1, 8, 8).expand_as(group), group), best.detach().flatten()
    )
    step = torch.linalg.solve(hessian, gradient())  # Newton's: exact for squares
    found = best.detach().flatten() - step.detach()
    assert torch.allclose(found, group.mean(dim=0).flatten(), atol=1e-10)


def test_magnitudes_have_another_best_image():
    group = torch.zeros(3, 1, 4, 4, dtype=torch.float64)
    group[0] = images(1, 4, 4)
    mean = group.mean(dim=0, keepdim=True)
    loss = WaveletLoss("haar", 2, "all", "l1")
    assert loss(torch.zeros_like(group), group) < 0.9 * loss(mean.expand_as(group), group)


def test_details_leave_the_mean_brightness_alone():
    x = images(2, 1, 16, 16)
    loss = WaveletLoss("db2", 2)
    assert loss.weights == (0.0, 1.0, 1.0)
    assert loss(x + 0.3, x).item() < 1e-25
    assert loss(x, images(2, 1, 16, 16, seed=1)).item() > 0.1


def test_equation_gradient_energy():
    ramp = torch.arange(6.0).expand(2, 1, 5, 6)
    assert gradient_energy(3 * ramp) == pytest.approx(9)
    assert gradient_energy(3 * ramp.mT) == pytest.approx(9)
    x = images(4, 1, 9, 7)
    across = (x[..., 1:] - x[..., :-1]).square().mean() + (
        x[..., 1:, :] - x[..., :-1, :]
    ).square().mean()
    assert gradient_energy(x) == pytest.approx(across.item(), rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(height=sides, width=sides, seed=seeds)
def test_equation_error_spectrum(height, width, seed):
    x = images(3, 1, height, width, seed=seed)
    spectrum = radial_spectrum(x)
    assert spectrum.share.sum().item() == pytest.approx(1)
    mean = (spectrum.share * spectrum.power).sum().item()
    assert mean == pytest.approx(x.square().mean().item(), rel=1e-9)
    assert (spectrum.frequency.diff() > 0).all()


def test_spectrum_finds_a_wave():
    across = torch.arange(32)
    wave = torch.cos(2 * math.pi * 5 / 32 * across).expand(1, 1, 32, 32)
    for image in (wave, wave.mT):
        spectrum = radial_spectrum(image)
        loudest = spectrum.power.argmax()
        assert spectrum.frequency[loudest].item() == pytest.approx(5 / 32)
        share = (spectrum.share * spectrum.power)[loudest] / image.square().mean()
        assert share.item() == pytest.approx(1)


def test_equation_sobel_loss():
    x, y = images(2, 3, 1, 8, 9)
    kernel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float64) / 8
    total = 0.0
    for filters in (kernel, kernel.T):
        difference = nn.functional.conv2d(x, filters[None, None]) - nn.functional.conv2d(
            y, filters[None, None]
        )
        total += difference.square().mean().item()
    assert SobelLoss()(x, y).item() == pytest.approx(total, rel=1e-12)
    ramp = torch.arange(9.0).expand(1, 3, 8, 9)
    right, down = SobelLoss().gradients(ramp)
    assert right.shape == (1, 3, 6, 7)
    assert torch.allclose(right, torch.ones(()))
    assert down.abs().max() == 0


def test_sobel_loss_has_neither_defect_of_the_published_term():
    x = images(8, 1, 12, 12)
    loss = SobelLoss()
    assert loss(x, x).item() == 0
    assert loss(x.roll(1, dims=0), x).item() > 0.1  # another image each: the same means
    step = (torch.arange(12)[:, None] > torch.arange(12)).double()
    for diagonal in (step, step.flip(-1)):  # one of them adds up to gx + gy = 0
        edge = diagonal.expand(1, 1, 12, 12)
        assert loss(edge, torch.zeros_like(edge)).item() > 0.01


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: dwt2(x, "mexh"), "wavelet must be the name of a discrete .* got 'mexh'"),
        (lambda x: dwt2(x, "haar", "mirror"), "mode must be one of .* got 'mirror'"),
        (lambda x: dwt2(x.long(), "haar"), "x must be floating point .* got int64"),
        (lambda x: dwt2(x[0, 0, 0], "haar"), r"x must be .* got float32 of shape \(8,\)"),
        (lambda x: dwt2(x[..., :0], "haar"), r"sides of at least 1, got .* \(2, 1, 8, 0\)"),
        (lambda x: idwt2((x, (x, x, x[1:])), "haar"), "coefficients must be .* of one shape"),
        (lambda x: idwt2((x, (x, x)), "haar"), "coefficients must be .* of one shape"),
        (lambda x: idwt2((x, (x, x, x)), "db20"), "sides of at least 20 for wavelet 'db20'"),
        (lambda x: wavedec2(x, "haar", level=-1), "level must be .* at least 0, got -1"),
        (lambda x: wavedec2(x, "haar", level=1.5), "level must be an integer .* got 1.5"),
        (lambda x: waverec2([x, x], "haar"), r"coefficients must be \[cA_n"),
        (lambda x: WaveletLoss("db0"), "wavelet must be"),
        (lambda x: WaveletLoss(mode="mirror"), "mode must be"),
        (lambda x: WaveletLoss(levels=0), "levels must be an integer of at least 1, got 0"),
        (lambda x: WaveletLoss(bands="fine"), "bands must be one of .* or 4 weights, got 'fine'"),
        (lambda x: WaveletLoss(bands=(1, 1)), "bands must be 4 weights for levels=3 .* got 2"),
        (lambda x: WaveletLoss(bands=(1, 1, -1, 1)), "bands must be a finite number of at least 0"),
        (lambda x: WaveletLoss(bands=(0, 0, 0, 0)), "at least one of them above 0"),
        (lambda x: WaveletLoss(norm="l3"), "norm must be one of 'l2', 'l1'; got 'l3'"),
        (lambda x: WaveletLoss(levels=4)(x, x), r"levels=4 is too many .* at most 3 fit"),
        (lambda x: WaveletLoss()(x[:1], x), "reconstructions and images must have the same"),
        (lambda x: SobelLoss()(x[:1], x), "reconstructions and images must have the same"),
        (lambda x: SobelLoss()(x[..., :2], x[..., :2]), "sides of at least 3"),
        (lambda x: band_energies(x, levels=0), "levels must be an integer of at least 1"),
        (lambda x: gradient_energy(x[..., :1]), "images must be .* sides of at least 2"),
        (lambda x: radial_spectrum(x.long()), "images must be floating point"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(2, 1, 8, 8))
