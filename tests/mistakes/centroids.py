"""Typical mistakes in the exercises of the chapter on PEDCC geometry."""

import math

import torch


def centred(k):
    corners = torch.eye(k)
    return corners - corners.mean(dim=0)


def force(x, power=3.0, radial=False):
    apart = x[:, None] - x
    distance = apart.norm(dim=2, keepdim=True)
    distance.diagonal().fill_(math.inf)
    total = (apart / distance**power).sum(dim=1)
    return total if radial else total - (total * x).sum(dim=1, keepdim=True) * x


def stops(*_):
    raise RuntimeError("out of ideas")


MISTAKES = [
        ("simplex_angle", ..., "Replace the three dots"),
        ("simplex_angle", 120.0, "Pass the function itself"),
        ("simplex_angle", stops, "stopped: RuntimeError: out of ideas"),
        ("simplex_angle", lambda k: -1 / (k - 1), "This is the cosine"),
        ("simplex_angle", lambda k: math.acos(-1 / (k - 1)), "in radians"),
        ("simplex_angle", lambda k: math.degrees(math.acos(1 / (k - 1))), "Mind the sign"),
        ("simplex_angle", lambda k: math.degrees(math.acos(-1 / k)), "among K - 1"),
        ("simplex_angle", lambda k: 360 / k, "For K = 2 you return 180|For K = 4 you return 90"),
        ("simplex_angle", lambda k: "wide", "Return a number, not a str"),
        ("centred_corners", lambda k: None, "returned None"),
        ("centred_corners", lambda k: [1.0] * k, "Return a torch tensor, not a list"),
        ("centred_corners", lambda k: torch.eye(k)[:-1], r"shape \(3, 3\); yours has \(2, 3\)"),
        ("centred_corners", lambda k: torch.full((k, k), math.nan), "not finite"),
        ("centred_corners", torch.eye, "do not sum to zero"),
        ("centred_corners", centred, "norms should be 1; for K = 3 the first is 0.816"),
        (
            "centred_corners",
            lambda k: torch.linspace(0, 2 * math.pi, k + 1)[:-1, None].add(
                torch.tensor([[0, -math.pi / 2]])
            ).cos() @ torch.eye(2, k),
            "not all pairs have cosine",
        ),
        ("fewest_dimensions", 46, "Keep the dictionary"),
        ("fewest_dimensions", {"simplex": 46}, "lacks .'orthoplex'"),
        ("fewest_dimensions", {"simplex": 46, "orthoplex": ...}, "three dots of .'orthoplex'"),
        ("fewest_dimensions", {"simplex": 47, "orthoplex": 24}, "How many are independent"),
        ("fewest_dimensions", {"simplex": 24, "orthoplex": 24}, "three points need two"),
        ("fewest_dimensions", {"simplex": 46, "orthoplex": 23}, "46 vertices"),
        ("fewest_dimensions", {"simplex": 46, "orthoplex": 47}, "brings two vertices"),
        ("tangential_force", lambda x: -force(x), "turn the sign"),
        ("tangential_force", lambda x: -force(x, radial=True), "sum over the other index"),
        ("tangential_force", lambda x: force(x, radial=True), "points outwards: subtract it"),
        ("tangential_force", lambda x: force(x, 2), "first power"),
        ("tangential_force", lambda x: force(x, 1), "zeroth power"),
        ("tangential_force", lambda x: force(x, 4), "third power"),
        ("tangential_force", lambda x: force(x) + x, "subtract its component"),
        ("tangential_force", lambda x: 2 * force(x), "is not the sum"),
        ("tangential_force", lambda x: force(x) * math.nan, "not finite"),
        ("orthogonal_simplices", lambda k, d: k - d, "return a list"),
        ("orthogonal_simplices", lambda k, d: [], "return a list"),
        ("orthogonal_simplices", lambda k, d: [k / (k - d)] * (k - d), "// divides"),
        ("orthogonal_simplices", lambda k, d: [k - 1], "sizes sum to 4, not 5"),
        ("orthogonal_simplices", lambda k, d: [1] * k, "no direction"),
        ("orthogonal_simplices", lambda k, d: [k], "use 4 dimensions, not 3"),
]  # fmt: skip
