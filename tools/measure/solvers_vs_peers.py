"""Our solvers beside the field's libraries: one exact score, the same number of score evaluations.

    python tools/measure/solvers_vs_peers.py ode|sde|strong [evaluations …]
        rows of one family in results/solvers_vs_peers.csv

The peers go into an environment of their own, beside this package; one that is missing gets a row
that says so:

    pip install "torchsde==0.2.6" "diffrax==0.7.2" "jax==0.10.2" "diffusers==0.42.1"
    "k-diffusion==0.1.1.post1" "azula==0.11.1"

How each is fed is in tools/measure/peer_libraries.py.
"""

import importlib.metadata
import math
import statistics
import sys
import time

import peer_libraries as peers  # first: it sets the threads
import table
import torch
from peer_libraries import DENSITY, FEW, HIGH, LOW, TARGET, N

from sdelib import grids, integration, solvers
from sdelib.book.toys import GeometricBrownian
from sdelib.brownian import BrownianPath

OUT = table.RESULTS / "solvers_vs_peers.csv"
REPEATS = 5
BUDGETS = {"ode": [10, 20, 50, 100], "sde": [10, 20, 50, 100], "strong": [16, 64]}
# (family, library, grid, {solver: evaluations a step}); "sdelib" finds the step of that name.  The
# first is the clock
METHODS = [
    ("ode", "sdelib", "karras", {"euler_maruyama": 1, "heun": 2, "rk45": 6}),
    ("ode", "sdelib", "geometric", {"euler_maruyama": 1, "heun": 2}),
    ("ode", "k-diffusion", "karras", {"euler": 1, "heun": 2, "lms": 1, "dpmpp_2m": 1}),
    (
        "ode",
        "diffusers",
        "karras",
        {"EulerDiscrete": 1, "HeunDiscrete": 2, "DPMSolverMultistep": 1},
    ),
    ("ode", "azula", "karras", {"DDIM": 1, "Heun": 2, "zAB": 1, "xEAB": 1, "REAB": 1}),
    ("ode", "diffrax", "karras", {"Euler": 1, "Heun": 2, "Tsit5": 6}),
    ("sde", "sdelib", "uniform VE", {"euler_maruyama": 1, "heun": 2, "sra": 2}),
    (
        "sde",
        "sdelib",
        "karras",
        {"euler_maruyama": 1, "heun": 2, "sra": 2, "exponential": 1, "ancestral": 1},
    ),
    (
        "sde",
        "torchsde",
        "uniform VE",
        {"euler": 1, "srk": 10, "srk additive": 3, "reversible_heun": 1},
    ),
    ("sde", "diffrax", "uniform VE", {"Euler": 1, "SRA1": 2, "ShARK": 2}),
    ("sde", "k-diffusion", "karras", {"euler_ancestral": 1, "dpmpp_sde": 2, "dpmpp_2m_sde": 1}),
    ("sde", "diffusers", "geometric", {"ScoreSdeVe": 1}),
    ("sde", "diffusers", "karras", {"DPMSolverMultistep": 1}),
    ("sde", "azula", "karras", {"DDPM": 1, "Ito": 1}),
]
FIELDS = [
    "problem",
    "family",
    "library",
    "version",
    "solver",
    "grid",
    "budget",
    "evaluations",
    "error",
    "error_se",
    "weight_error",
    "weight_se",
    "variance_error",
    "variance_se",
    "seconds",
    "seconds_ratio_to_ours",
    "status",
]


# ---- errors


def energy(x):
    """The squared energy distance D² of the law of x from TARGET, unbiased: 0 on average for exact
    samples.

    In the plane D² = π·mean over directions of ∫(F_n − F)² (Székely & Rizzo 2013); what n draws add
    is taken off.
    """
    total, line = 0.0, torch.linspace(-8, 8, 4001, dtype=x.dtype)
    angles = torch.arange(16, dtype=x.dtype) * math.pi / 16
    for u in torch.stack([angles.cos(), angles.sin()], 1):
        std = torch.einsum("i,kij,j->k", u, TARGET.covariances, u).sqrt()
        exact = (TARGET.weights * torch.special.ndtr((line[:, None] - TARGET.means @ u) / std)).sum(
            1
        )
        seen = torch.searchsorted((x @ u).sort().values, line, right=True) / len(x)
        total += torch.trapezoid((seen - exact) ** 2 - seen * (1 - seen) / (len(x) - 1), line)
    return math.pi * float(total) / len(angles)


def law(xs):
    """The errors of some batches: the mean over the batches and its standard error."""
    each = {
        "error": energy,
        "weight": lambda x: TARGET.responsibilities(x)[:, 0].mean() - TARGET.weights[0],
        "variance": lambda x: torch.cov(x.T).trace() / TARGET.covariance.trace() - 1,
    }
    out = {}
    for name, error in each.items():
        values = torch.tensor([float(error(x)) for x in xs], dtype=torch.float64)
        key = name if name == "error" else f"{name}_error"
        out |= {key: values.mean().item(), f"{name}_se": (values.std() / math.sqrt(len(xs))).item()}
    return out


def rms(difference):
    """Root of the mean square over the rows, and its standard error."""
    square = difference.square().sum(1)
    root = square.mean().sqrt().item()
    return {"error": root, "error_se": (square.std() / math.sqrt(len(square)) / (2 * root)).item()}


# ---- the races


def race(runs, budget, starts, errors):
    """One row for each (row, cost, run) that fits into `budget`, the runs in turns: evaluations,
    errors, times.

    run(start, steps, seed) → end;  errors(ends) → the columns of the error.
    Times are divided by those of runs[0].
    """
    live = []
    for row, cost, run in runs:
        if cost <= budget:
            live.append((row | {"budget": budget, "status": "ok"}, run, budget // cost, [], []))
            try:
                peers.calls = 0
                run(starts[0][:FEW], budget // cost, 0)
                live[-1][0]["evaluations"] = peers.calls
                run(starts[0], budget // cost, 0)  # warm: jax compiles here
            except Exception as error:  # a peer that breaks is a result, not our end
                live[-1][0]["status"] = f"failed: {type(error).__name__}: {error}".splitlines()[0]
    good = [entry for entry in live if entry[0]["status"] == "ok"]
    for r, start in enumerate(starts):
        for _, run, steps, times, ends in good:
            begin = time.perf_counter()
            ends.append(run(start, steps, 1000 + r))
            times.append(time.perf_counter() - begin)
    for row, _, _, times, ends in good:
        row |= errors(ends) | {
            "seconds": statistics.median(times),
            "seconds_ratio_to_ours": statistics.median(
                mine / first for mine, first in zip(times, good[0][3])
            ),
        }
        print(*(f"{v:.3g}" if isinstance(v, float) else v for v in row.values()), flush=True)
    return [row for row, *_ in live]


def mixture(family, budgets):
    """The rows of "ode" or "sde"."""
    starts = [
        DENSITY.blurred(HIGH).sample(N, generator=torch.Generator().manual_seed(r))
        for r in range(REPEATS)
    ]
    runs, rows = [], []
    for _, library, grid, costs in (m for m in METHODS if m[0] == family):
        for solver, cost in costs.items():
            row = dict(problem="garden", family=family, library=library, solver=solver, grid=grid)
            try:
                run = peers.LIBRARIES[library](solver, grid, float(family == "sde"))
                runs.append((row | {"version": importlib.metadata.version(library)}, cost, run))
            except (ImportError, AttributeError) as error:
                rows.append(row | {"status": f"not installed: {error}"})
    if family == "ode":
        exact = peers.sdelib_("heun", "karras", 0.0)(starts[0], 2000, 0)
        errors = lambda ends: rms(ends[0] - exact)
    else:
        errors = law
        real = [
            TARGET.sample(N, generator=torch.Generator().manual_seed(100 + r))
            for r in range(REPEATS)
        ]
        rows.append(
            dict(problem="garden", family=family, library="-", solver="exact samples", status="ok")
            | law(real)
        )
    return sum([race(runs, budget, starts, errors) for budget in budgets], rows)


def strong(budgets):
    """The rows of "strong": how far from the exact path of GeometricBrownian at time 1, each on its
    own Brownian path."""
    sde = GeometricBrownian()

    def drift(x):
        peers.calls += 1
        return sde.mu * x

    def ours(solver):
        class Counting(GeometricBrownian):
            drift = lambda self, x, t: drift(x)

        def run(x, steps, seed):
            times = grids.uniform_times(0.0, 1.0, steps)
            noise = BrownianPath(times, x, generator=torch.Generator().manual_seed(seed))
            return integration.solve(
                Counting(), x, times, getattr(solvers, solver), noise=noise
            ) - sde.path(x, 1.0, noise.at(1.0))

        return getattr(solvers, solver) and run

    def torchsde_(solver):
        import torchsde

        class Equation:
            noise_type, sde_type = "diagonal", "ito"
            f, g = (lambda self, t, x: drift(x)), (lambda self, t, x: sde.nu * x)

        def run(x, steps, seed):
            bm = torchsde.BrownianInterval(
                0.0, 1.0, x.shape, x.dtype, entropy=seed, levy_area_approximation="space-time"
            )
            end = torchsde.sdeint(
                Equation(),
                x,
                torch.tensor([0.0, 1.0], dtype=x.dtype),
                bm=bm,
                method=solver,
                dt=1 / steps,
            )
            return end[-1] - sde.path(x, 1.0, bm(0.0, 1.0))

        return run

    def diffrax_(solver):
        import diffrax
        import equinox
        import jax
        import lineax
        import numpy as np

        jax.config.update("jax_enable_x64", True)
        method = getattr(diffrax, solver)()
        ito = isinstance(
            method, diffrax.AbstractItoSolver
        )  # the others get the drift corrected by −½σ²x
        area = (
            diffrax.SpaceTimeLevyArea
            if isinstance(method, diffrax.AbstractSRK)
            else diffrax.BrownianIncrement
        )

        def f(t, x, _):
            if len(x) == FEW:
                jax.debug.callback(lambda: drift(0.0))
            return (sde.mu - (0 if ito else sde.nu**2 / 2)) * x

        @equinox.filter_jit
        def solve(x, key, dt):
            path = diffrax.VirtualBrownianTree(0.0, 1.0, 2.0**-11, x.shape, key, area)
            noise = diffrax.ControlTerm(
                lambda t, x, _: lineax.DiagonalLinearOperator(sde.nu * x), path
            )
            end = diffrax.diffeqsolve(
                diffrax.MultiTerm(diffrax.ODETerm(f), noise),
                method,
                0.0,
                1.0,
                dt,
                x,
                adjoint=diffrax.ForwardMode(),
            ).ys[0]
            return end, path.evaluate(0.0, 1.0)

        def run(x, steps, seed):
            end, w = (
                torch.from_numpy(np.array(z))
                for z in solve(x.numpy(), jax.random.key(seed), np.array(1 / steps))
            )
            return end - sde.path(x, 1.0, w)

        return run

    runs, rows, start = [], [], torch.ones(N // 5, 1, dtype=torch.float64)
    for library, make, names in (
        ("sdelib", ours, ("euler_maruyama", "platen", "milstein", "heun_ito")),
        ("torchsde", torchsde_, ("euler", "milstein", "srk")),
        ("diffrax", diffrax_, ("Euler", "ItoMilstein", "SPaRK", "SlowRK")),
    ):
        for solver in names:
            row = dict(
                problem="geometric Brownian",
                family="strong",
                library=library,
                solver=solver,
                grid="uniform",
            )
            try:
                runs.append(
                    (row | {"version": importlib.metadata.version(library)}, 1, make(solver))
                )
            except (ImportError, AttributeError) as error:
                rows.append(row | {"status": f"not installed: {error}"})
    return sum(
        [
            race(runs, steps, [start] * REPEATS, lambda ends: rms(torch.cat(ends)))
            for steps in budgets
        ],
        rows,
    )


# ---- the files


def write(rows):
    head = [
        *HEAD,
        f"device: {table.machine(' shared with other jobs')}; "
        + table.versions(*(lib for lib in ("torch", "jax") if lib in sys.modules)),
        f"date: {table.today()}",
    ]
    rounded = [
        {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows
    ]
    table.write(OUT, head, FIELDS, rounded)


HEAD = [
    (
        "command: python tools/measure/solvers_vs_peers.py ode; python "
        "tools/measure/solvers_vs_peers.py sde; python tools/measure/solvers_vs_peers.py "
        "strong (or one budget at a time)"
    ),
    (
        f"garden: float64, {N} samples from the exact p_sigma at {HIGH:g} down to "
        f"{LOW:g}, no denoising step after it. How each"
    ),
    (
        "        library gets the exact score is in tools/measure/peer_libraries.py.  "
        "seeds: starts 0 to 4, noise 1000 to 1004"
    ),
    "family ode: error = RMS distance to the exact flow (our heun, 2000 steps) from the same start",
    (
        "family sde: error = squared energy distance to the exact law, unbiased (0 = "
        f"exact), mean of {REPEATS} batches;"
    ),
    (
        "        weight_error = weight of the first mode less 0.5; variance_error = "
        "trace of the covariance over the exact one, less 1"
    ),
    (
        "family strong: error = RMS distance to the exact path of GeometricBrownian(1, "
        f"0.5) at time 1, {REPEATS} times {N // 5} paths"
    ),
    (
        "budget: evaluations allowed (strong: steps).  evaluations: of the score "
        "(strong: of the drift) as counted; torchsde's"
    ),
    "        count has one more, which it spends on checking shapes",
    (
        f"seconds: median of {REPEATS} runs, all methods in turns; ratio: to the first "
        "sdelib row of the same family and budget, turn"
    ),
    (
        "        by turn.  diffrax runs a compiled jax score, its compilation not timed; "
        "all others run the torch score"
    ),
    (
        "k-diffusion's dpmpp_sde has its own Brownian tree, which it needs for its two "
        "stages and which takes most of its time;"
    ),
    "        its dpmpp_2m_sde is given white noise, which has the same law there",
]


def main():
    what, *budgets = sys.argv[1:] or [""]
    if what not in BUDGETS:
        sys.exit(__doc__)
    with torch.no_grad():
        budgets = [int(b) for b in budgets] or BUDGETS[what]
        rows = strong(budgets) if what == "strong" else mixture(what, budgets)
    fresh = {str(b) for b in budgets} | {""}
    rows += [row for row in table.read(OUT) if row["family"] != what or row["budget"] not in fresh]
    order = list(BUDGETS)
    write(sorted(rows, key=lambda r: (order.index(r["family"]), int(r.get("budget") or 0))))


if __name__ == "__main__":
    main()
