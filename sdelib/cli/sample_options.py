"""The options of python -m sdelib sample."""

from __future__ import annotations

import argparse

from ..own.by_name import GRIDS, SOLVERS
from .common import COUNT, POSITIVE, SEED, device_option, number
from .sources import scores

NETWORK = "denoiser"
"""The bundled network that serves every SDE."""

USUAL = {"solver": "dpm++2m-sde", "steps": 34, "grid": "karras"}
"""What is taken where neither these nor --evaluations are given."""


def add(p: argparse.ArgumentParser) -> None:
    p.usage = "python -m sdelib sample [--weights NAME|FILE] --n N --out PLACE [options]"
    p.add_argument(
        "--weights",
        metavar="NAME|FILE",
        default=NETWORK,
        help="a model's file (anything with a slash or a suffix), or a bundled network: "
        + ", ".join(scores()),
    )
    p.add_argument("--n", type=COUNT, default=64, help="how many")
    p.add_argument(
        "--out",
        required=True,
        metavar="PLACE",
        help="what to write or replace: pictures .png (a grid), .npz, or a folder/ (a PNG each); "
        "points, series and tables .csv or .npz",
    )
    p.add_argument(
        "--force", action="store_true", help="write into a folder that has files in it already"
    )
    p.add_argument(
        "--label",
        metavar="CLASS",
        help="a class by its name or number, each (all in turn: what is done where nothing is "
        "given), or none",
    )
    p.add_argument(
        "--guidance",
        type=number(float, -1e-9),
        default=1.0,
        help="weight of the label; above 1: more typical of the class, and less various",
    )
    p.add_argument(
        "--evaluations",
        type=number(int, 1),
        metavar="N",
        help="of the network for each sample: takes the best solver and grid for that budget",
    )
    p.add_argument("--solver", choices=SOLVERS, help=f"the step{_says('solver')}")
    p.add_argument("--steps", type=COUNT, help=f"steps from T to t_min{_says('steps')}")
    p.add_argument("--grid", choices=GRIDS, help=f"where the steps are{_says('grid')}")
    p.add_argument("--seed", type=SEED, default=0, help="of the start and the noise")
    p.add_argument(
        "--batch",
        type=COUNT,
        default=64,
        help="examples in the network at once; does not change the noise",
    )
    p.add_argument(
        "--chunk",
        type=COUNT,
        help="examples drawn together and kept: the work may be shared by the processes of "
        "torchrun, and goes on where it was stopped; does not change the noise",
    )
    p.add_argument(
        "--precision",
        choices=("float32", "bf16"),
        default="float32",
        help="bf16: the network's products in bfloat16",
    )
    device_option(p, "where the network runs")
    _process(p.add_argument_group("the equation, for those who choose"))


def _says(name: str) -> str:
    return f" (default: {USUAL[name]}, or what --evaluations takes)"


def _process(p: argparse._ArgumentGroup) -> None:
    p.add_argument("--sde", choices=("ve", "vp", "subvp"), default="ve", help="the forward process")
    p.add_argument(
        "--sigma", type=number(float, 1), help="ve: dx = SIGMAᵗ dw, the equation of the source"
    )
    p.add_argument(
        "--sigma-min",
        type=POSITIVE,
        help="ve: the smallest σ of the geometric schedule (0.01 when not given)",
    )
    p.add_argument(
        "--sigma-max",
        type=POSITIVE,
        help="ve: the largest σ of the geometric schedule (that of the data when nothing is given, "
        "80 for the bundled ones)",
    )
    p.add_argument("--beta-min", type=POSITIVE, help="vp, subvp: β at t = 0 (0.1 when not given)")
    p.add_argument("--beta-max", type=POSITIVE, help="vp, subvp: β at t = T (20 when not given)")
    p.add_argument(
        "--t-min",
        type=POSITIVE,
        help="where the solver stops (where the noise is the least that the network knows)",
    )
    p.add_argument(
        "--no-denoise",
        dest="denoise",
        action="store_false",
        help="leave out the noiseless last step",
    )
