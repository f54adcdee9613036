"""sdelib: scores, stochastic differential equations and their solvers, one small module an idea.

    densities  empirical             scores that are known exactly                   ch. 1, 5
    score_matching                   losses whose minimiser is the score             ch. 2
    langevin                         sampling one density, and a ladder of them      ch. 3 to 5
    sdes  families  reversal         processes, VE to sub-VP, and the way back       ch. 6, 7
    brownian                         paths that every solver shares                  ch. 6, 8
    grids  stepping  solvers         where to step, what a step is, the textbooks'   ch. 8
    integration                      the one loop over time                          ch. 8
    predictor_corrector  few_steps   steps that know the process or the denoiser     ch. 9, 15
    probability_flow  likelihood     the flow, both ways, and log p                  ch. 10, 16
    denoiser                         one network for every SDE: its loss, its score  ch. 12
    guidance  inverse_problems       steering a score                                ch. 14
    flow_matching                    the velocity in place of the score              ch. 15
    checks                           the one door that refuses an argument

and five wings: networks (scores, velocities and denoisers that learn; ch. 11, 12), own (training,
weights, devices, sampling, metrics, operators, grey levels, solvers by name; ch. 11 to 13), book
(what only the book needs), widgets, cli.
`import sdelib` needs torch and numpy only, and has the names that a researcher takes; plotting,
training and widgets import what they need when they are used.
"""

import re
from importlib.metadata import PackageNotFoundError, requires

import torch

__version__ = "0.2.0"


def _check(version: str) -> None:
    """Raise ImportError where this PyTorch is older than pyproject.toml asks for; a copy that was
    never installed asks for nothing."""
    try:
        wanted = next(
            (r[len("torch>=") :] for r in requires("sdelib") or () if r.startswith("torch>=")), "0"
        )
    except PackageNotFoundError:
        return
    if [int(n) for n in re.findall(r"\d+", version)[:2]] < [
        int(n) for n in re.findall(r"\d+", wanted)[:2]
    ]:
        raise ImportError(
            f"PyTorch {version} is too old: sdelib needs {wanted} or later; "
            "run pip install --upgrade torch"
        )


_check(torch.__version__)

from .brownian import BrownianPath, WhiteNoise  # noqa: E402
from .denoiser import DenoiserLoss, score_from  # noqa: E402
from .densities import GaussianMixture  # noqa: E402
from .empirical import EmpiricalDensity  # noqa: E402
from .families import VE, VP, NoiseLevel, SubVP  # noqa: E402
from .few_steps import DPMSolver, EDMHeun  # noqa: E402
from .grids import geometric_times, karras_times, uniform_times  # noqa: E402
from .integration import integrate, solve, trajectory  # noqa: E402
from .inverse_problems import posterior_score  # noqa: E402
from .langevin import annealed_langevin  # noqa: E402
from .networks import Denoiser  # noqa: E402
from .own import metrics  # noqa: E402
from .predictor_corrector import PredictorCorrector, ancestral, exponential  # noqa: E402
from .reversal import Reverse, Score, denoise  # noqa: E402
from .score_matching import DenoisingLoss  # noqa: E402
from .sdes import SDE, GaussianSDE  # noqa: E402
from .solvers import euler_maruyama, heun, milstein, sra  # noqa: E402
from .stepping import Step, one_step  # noqa: E402

__all__ = ["SDE", "VE", "VP", "GaussianSDE", "NoiseLevel", "Reverse", "Score", "SubVP"]
__all__ += ["BrownianPath", "EmpiricalDensity", "GaussianMixture", "WhiteNoise"]
__all__ += ["DPMSolver", "EDMHeun", "PredictorCorrector", "Step", "ancestral", "euler_maruyama"]
__all__ += ["denoise", "exponential", "geometric_times", "heun", "milstein", "one_step", "sra"]
__all__ += ["integrate", "karras_times", "score_from", "solve", "trajectory", "uniform_times"]
__all__ += ["Denoiser", "DenoiserLoss", "DenoisingLoss", "annealed_langevin", "metrics"]
__all__ += ["posterior_score"]
