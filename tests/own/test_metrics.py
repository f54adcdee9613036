"""The Fréchet distance against closed forms, its bias, and the bundled classifier."""

import json
import math
import re

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
from helpers import REAL

from sdelib.book.classifier import ClassificationLoss, GarmentClassifier, accuracy, features
from sdelib.book.data import fashion_mnist
from sdelib.own import weights
from sdelib.own.metrics import (
    Moments,
    frechet_bias,
    frechet_distance,
    jackknife,
    kid,
    moments,
    precision_recall,
    sliced_wasserstein,
    split_floor,
)


def covariance(d, seed):
    a = torch.randn(d, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return a @ a.T + 0.1 * torch.eye(d, dtype=torch.float64)


def gaussian(mean, cov):
    return Moments(
        torch.as_tensor(mean, dtype=torch.float64), torch.as_tensor(cov, dtype=torch.float64), 1000
    )


def test_commuting_covariances():
    """Diagonal: ‖μ_a − μ_b‖² + Σ (√a_i − √b_i)²."""
    a, b = (
        gaussian([1.0, 2.0, 0.0], np.diag([4.0, 9.0, 0.25])),
        gaussian([0.0, 2.0, 2.0], np.diag([1.0, 16.0, 0.0])),
    )
    assert frechet_distance(a, b) == pytest.approx(
        (1 + 4) + (2 - 1) ** 2 + (3 - 4) ** 2 + 0.5**2, rel=1e-12
    )
    # the same in a rotated frame
    q, _ = torch.linalg.qr(covariance(3, 0))
    turn = lambda m: Moments(q @ m.mean, q @ m.covariance @ q.T, m.n)
    assert frechet_distance(turn(a), turn(b)) == pytest.approx(frechet_distance(a, b), rel=1e-7)


@pytest.mark.parametrize("d", [2, 5, 64])
def test_covariances_that_do_not_commute(d):
    a, b = covariance(d, 1), covariance(d, 2)
    assert float((a @ b - b @ a).abs().max()) > 0.1
    root = scipy.linalg.sqrtm((a @ b).numpy())
    known = 0.25 * d + np.trace(a.numpy() + b.numpy() - 2 * root.real)
    found = frechet_distance(gaussian(torch.zeros(d), a), gaussian(torch.full((d,), 0.5), b))
    assert found == pytest.approx(known, rel=1e-8)
    assert found == pytest.approx(
        frechet_distance(gaussian(torch.full((d,), 0.5), b), gaussian(torch.zeros(d), a)), rel=1e-9
    )


def test_zero_for_the_same_moments():
    for d in (1, 8, 64):
        a = gaussian(torch.randn(d, generator=torch.Generator().manual_seed(3)), covariance(d, 4))
        # rounding: 1e-16 of the trace of the covariances
        assert 0 <= frechet_distance(a, a) < 1e-12 * float(a.covariance.trace())
    # a singular covariance, from fewer vectors than features: square roots of eigenvalues near
    # 1e-16 are 1e-8
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    assert 0 <= frechet_distance(moments(x), moments(x)) < 64 * 1e-6


def test_moments():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(6))
    m = moments(x)
    assert m.n == 50 and m.mean.dtype == torch.float64
    np.testing.assert_allclose(m.mean.numpy(), x.double().numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(m.covariance.numpy(), np.cov(x.double().numpy().T), rtol=1e-12)


def test_sample_size_bias():
    """n vectors of N(0, Σ) against N(0, Σ) itself: to first order in 1/n,

    E‖mean‖² = tr Σ/n, and for Σ = I the covariance is I + H with E tr H² = d(d + 1)/(n − 1), of
    which the
    distance keeps ¼: ‖√(I + H) − I‖² ≈ ¼ tr H².  So E ≈ d/n + d(d + 1)/(4n)."""
    d, n, draws = 8, 400, 200
    assert frechet_bias(gaussian(torch.zeros(d), torch.eye(d))) == pytest.approx(
        d + d * (d + 1) / 4, rel=1e-12
    )
    root = (
        torch.diag(torch.logspace(-1, 1, d, dtype=torch.float64))
        @ torch.linalg.qr(
            torch.randn(d, d, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        )[0]
    )
    for a in (torch.eye(d, dtype=torch.float64), root):
        truth, generator = gaussian(torch.zeros(d), a.T @ a), torch.Generator().manual_seed(7)
        found = torch.tensor(
            [
                frechet_distance(
                    moments(torch.randn(n, d, generator=generator, dtype=torch.float64) @ a), truth
                )
                for _ in range(draws)
            ]
        )
        expected = frechet_bias(truth) / n
        # 5 standard errors, and d/n = 2% for the next order
        assert (
            abs(float(found.mean()) - expected)
            < 5 * float(found.std()) / math.sqrt(draws) + 0.02 * expected
        )


def test_split_floor_is_the_bias_of_both_sides():
    """Random rows against the rest, all from one law: both sides are biased, so 1/n becomes 1/n +
    1/(N − n)."""
    d, N, n = 4, 3000, 300
    x = torch.randn(N, d, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    mean, error = split_floor(x, n, draws=100, generator=torch.Generator().manual_seed(9))
    expected = (d + d * (d + 1) / 4) * (1 / n + 1 / (N - n))
    # the draws share one data set; 5 of their standard errors, and 10% for what the next order and
    # sharing add
    assert abs(mean - expected) < 5 * error + 0.1 * expected
    assert split_floor(x, n, draws=3, generator=torch.Generator().manual_seed(9)) == split_floor(
        x, n, draws=3, generator=torch.Generator().manual_seed(9)
    )
    for wrong in (1, 0, N - 1, N + 5):
        with pytest.raises(ValueError, match=f"n = {wrong}"):
            split_floor(x, wrong, generator=torch.Generator())


def test_bad_shapes_raise():
    with pytest.raises(ValueError, match=r"b.mean .*\(2,\).*\(3,\)"):
        frechet_distance(
            gaussian(torch.zeros(3), torch.eye(3)), gaussian(torch.zeros(2), torch.eye(2))
        )
    for shape in ((1, 4), (4,), (2, 2, 2)):
        with pytest.raises(ValueError, match=rf"x .*{re.escape(str(shape))}"):
            moments(torch.zeros(shape))
    classifier = GarmentClassifier(8, 12)
    for shape in ((2, 28, 28), (2, 3, 28, 28), (2, 1, 32, 32)):
        with pytest.raises(ValueError, match="shape of x"):
            classifier(torch.zeros(shape))


def test_features_do_not_depend_on_the_batch_and_are_clipped():
    torch.manual_seed(0)
    classifier = GarmentClassifier(8, 12).eval()
    x = torch.rand(23, 1, 28, 28, generator=torch.Generator().manual_seed(10))
    f = features(x, classifier, batch=23)
    assert f.shape == (23, 12) and f.dtype == torch.float64
    torch.testing.assert_close(
        features(x, classifier, batch=5), f, rtol=1e-4, atol=1e-5
    )  # float32 rounding
    wild = 3 * x - 1
    torch.testing.assert_close(features(wild, classifier), features(wild.clamp(0, 1), classifier))
    assert not torch.allclose(features(wild, classifier), f)


def test_accuracy_counts():
    class Brightest(torch.nn.Module):
        """The label is written in the image's first ten pixels."""

        def forward(self, x):
            return x[:, 0, 0, :10]

    labels = torch.arange(40) % 10
    x = torch.zeros(40, 1, 28, 28)
    x[:, 0, 0, :10] = F.one_hot(labels, 10).float()
    wrong = labels.clone()
    wrong[:10] = (wrong[:10] + 1) % 10
    assert accuracy(x, labels, Brightest(), batch=7) == 1.0
    assert accuracy(x, wrong, Brightest(), batch=7) == pytest.approx(0.75)


def test_classification_loss_shifts_the_image():
    """Shift (0, 0) is the image itself; (1, −1) moves the window one row down and one column
    left."""
    seen = []

    def network(x):
        seen.append(x)
        return torch.zeros(len(x), 10)

    x = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(11))
    labels = torch.tensor([0, 1, 2])
    loss = ClassificationLoss()(network, x, labels, torch.tensor([[0, 0], [1, -1], [-1, 1]]))
    torch.testing.assert_close(loss, torch.full((3,), math.log(10)))  # uniform logits
    assert torch.equal(seen[0][0], x[0])
    assert (
        torch.equal(seen[0][1, 0, :27, 1:], x[1, 0, 1:, :27])
        and float(seen[0][1, 0, 27].sum()) == 0
    )
    assert (
        torch.equal(seen[0][2, 0, 1:, :27], x[2, 0, :27, 1:]) and float(seen[0][2, 0, 0].sum()) == 0
    )
    (shift,) = ClassificationLoss().draw(
        torch.zeros(3000, 1, 28, 28), torch.zeros(3000), generator=torch.Generator().manual_seed(12)
    )
    assert shift.shape == (3000, 2) and set(shift.flatten().tolist()) == {-1, 0, 1}


# ---- the bundled classifier

needs_classifier = pytest.mark.skipif(
    "classifier" not in weights.names(), reason="no classifier is bundled yet"
)


@pytest.fixture(scope="module")
def real():
    """The test images, and their features and labels under the bundled classifier: computed
    once."""
    images = fashion_mnist(root=REAL, train=False)
    classifier = weights.load("classifier")
    return images, classifier, features(images.images, classifier)


@needs_classifier
@pytest.mark.real_data
@pytest.mark.skipif(REAL is None, reason="Fashion-MNIST is not here")
def test_the_accuracy_of_the_bundled_classifier(real):
    images, classifier, f = real
    found = float((classifier.head(f.float()).argmax(1) == images.labels).double().mean())
    assert accuracy(images.images[:500], images.labels[:500], classifier) == float(
        (classifier.head(f[:500].float()).argmax(1) == images.labels[:500]).double().mean()
    )
    # the accuracy that its provenance states, up to the rounding of the weights to half precision
    # (10 images)
    assert found == pytest.approx(weights.provenance("classifier")["test_accuracy"], abs=1e-3)
    assert found > 0.9


@needs_classifier
@pytest.mark.real_data
@pytest.mark.skipif(REAL is None, reason="Fashion-MNIST is not here")
def test_the_distance_ranks_what_it_should(real):
    """Real against real is small; blurred, noisy and one-class images are each far above it."""
    images, classifier, f = real
    x, reference = images.images[:1000], moments(f[1000:2000])
    distance = lambda x: frechet_distance(moments(features(x, classifier)), reference)
    floor = frechet_distance(moments(f[:1000]), reference)
    assert distance(F.avg_pool2d(x, 3, 1, 1)) > 2 * floor
    assert (
        distance(x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(13)))
        > 2 * floor
    )
    assert frechet_distance(moments(f[images.labels == 1]), reference) > 20 * floor


@needs_classifier
@pytest.mark.skipif(
    not (weights.BUNDLED / "moments.safetensors").exists(), reason="no moments are bundled yet"
)
def test_the_bundled_moments():
    there, meta = weights.read_tensors(weights.checked("moments.safetensors"))
    mean, cov, n = there["mean"].double(), there["covariance"].double(), int(there["n"])
    assert n == 60_000 and cov.shape == (len(mean), len(mean)) and torch.allclose(cov, cov.T)
    assert float(torch.linalg.eigvalsh(cov).min()) > -1e-6 * float(cov.trace())
    # they belong to the classifier that is bundled now, not to one before it
    assert (
        json.loads(meta["provenance"])["classifier_sha256"]
        == weights.sums()["classifier.safetensors"]
    )


@needs_classifier
@pytest.mark.real_data
@pytest.mark.skipif(REAL is None, reason="Fashion-MNIST is not here")
def test_the_bundled_moments_are_near_those_of_the_test_images(real):
    """10,000 test images against 60,000 training ones: the distance is the floor of 10,000 and what
    the sets differ by."""
    there, _ = weights.read_tensors(weights.checked("moments.safetensors"))
    train = Moments(there["mean"].double(), there["covariance"].double(), int(there["n"]))
    floor, _ = split_floor(real[2], 5000, draws=4, generator=torch.Generator().manual_seed(14))
    assert frechet_distance(moments(real[2]), train) < 10 * floor


def test_sliced_wasserstein_of_a_shift_and_a_stretch():
    """On the line and along each direction W₂ of a shift by m is |uᵀm|, whose mean square is
    ‖m‖²/d; of x and cx it is |c − 1| rms(uᵀx)."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(500, 2, generator=g, dtype=torch.float64)
    m = torch.tensor([3.0, -4.0], dtype=torch.float64)
    assert sliced_wasserstein(x, x + m) == pytest.approx(5 / math.sqrt(2), rel=1e-9)
    assert sliced_wasserstein(x, 3 * x) == pytest.approx(
        2 * float(x.square().sum(1).mean().sqrt()) / math.sqrt(2), rel=1e-9
    )
    assert sliced_wasserstein(x[:, :1], x[:, :1] + 2) == pytest.approx(2)
    assert sliced_wasserstein(x, x[torch.randperm(500, generator=g)]) == 0.0
    images = torch.randn(50, 1, 4, 4, generator=g, dtype=torch.float64)
    found = sliced_wasserstein(images, images + 1, 5000, generator=g)
    assert found == pytest.approx(1.0, rel=5 * math.sqrt(2 / 5000))  # ‖m‖² = d


def test_sliced_wasserstein_of_two_samples_of_one_law_falls_like_root_n():
    g = torch.Generator().manual_seed(1)
    mean = [
        sum(
            sliced_wasserstein(*torch.randn(2, n, 2, generator=g, dtype=torch.float64))
            for _ in range(40)
        )
        / 40
        for n in (100, 1600)
    ]
    assert 3 < mean[0] / mean[1] < 5


def test_sliced_wasserstein_refuses():
    x = torch.zeros(5, 3)
    with pytest.raises(ValueError, match=r"x, y = .*\(5, 3\), \(4, 3\)"):
        sliced_wasserstein(x, x[:4])
    with pytest.raises(ValueError, match="generator = None"):
        sliced_wasserstein(x, x)


# ---- precision and recall


def cloud(n, centre, seed):
    return (
        torch.randn(n, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        + centre
    )


def test_precision_and_recall_of_what_is_known():
    real = torch.cat([cloud(400, 0.0, 1), cloud(400, 50.0, 2)])
    assert precision_recall(real, real) == (1.0, 1.0)  # every point is inside its own ball
    assert precision_recall(real, cloud(800, -50.0, 3)) == (0.0, 0.0)
    precision, recall = precision_recall(real, cloud(800, 0.0, 4))  # one of two modes is missing
    inside, other = precision_recall(cloud(400, 0.0, 1), cloud(800, 0.0, 4))
    assert precision == inside > 0.6 and recall == other / 2  # the far mode is covered by nothing
    precision, recall = precision_recall(
        real, torch.cat([real, cloud(800, -50.0, 5)])
    )  # half is odd, nothing is missing
    assert precision == 0.5 and recall == 1.0


def test_precision_and_recall_by_hand():
    """On the line: real 0, 1, 3 with k = 1 has balls [-1, 1], [0, 2], [1, 5]; drawn 4, 6, 6.5 has
    [2, 6], [5.5, 6.5], [6, 7]."""
    real, drawn = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[4.0], [6.0], [6.5]])
    assert precision_recall(real, drawn, 1) == pytest.approx(
        (1 / 3, 1 / 3)
    )  # 4 is in [1, 5];  3 is in [2, 6]
    assert precision_recall(real, drawn, 1, batch=2) == precision_recall(real, drawn, 1)


@pytest.mark.parametrize(
    "real, drawn, k, says",
    [
        ((9, 2), (9, 3), 3, r"drawn.*\(9, 3\)"),
        ((9, 2), (3, 2), 3, r"k = .*\(3, 2\), 3\)"),
        ((9, 2), (9, 2), 0, r"k = .* 0\)"),
        ((9,), (9, 2), 3, r"real .*\(9,\)"),
    ],
)
def test_precision_and_recall_refuse(real, drawn, k, says):
    with pytest.raises(ValueError, match=says):
        precision_recall(torch.zeros(real), torch.zeros(drawn), k)


# ---- KID


def test_kid_is_the_formula():
    """k(a, b) = (aᵀb/f + 1)³ over all pairs of two, by loops."""
    x, y = cloud(20, 0.0, 6), cloud(24, 0.5, 7)
    k = lambda a, b: (float(a @ b) / 5 + 1) ** 3
    known = sum(k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (20 * 19)
    known += sum(k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (24 * 23)
    known -= 2 * sum(k(a, b) for a in x for b in y) / (20 * 24)
    assert kid(x, y)[0] == pytest.approx(known, rel=1e-10)
    # the jackknife leaves out rows 0, 10, …, of both, then 1, 11, …
    left = [
        kid(x[torch.arange(20) % 10 != g], y[torch.arange(24) % 10 != g], groups=2)[0]
        for g in range(10)
    ]
    assert kid(x, y)[1] == pytest.approx(float(jackknife(torch.tensor(left))), rel=1e-4)


def test_kid_of_equal_laws_has_mean_zero_and_an_honest_error():
    """300 pairs of sets of one law: the mean is 0 within 4 standard errors of it, and the stated
    error is between the true spread and √2 times it, within the noise of 300 of them."""
    told = torch.tensor([kid(cloud(50, 0.0, k), cloud(60, 0.0, 9000 + k)) for k in range(300)])
    spread = float(told[:, 0].std())
    assert abs(float(told[:, 0].mean())) < 4 * spread / math.sqrt(300)
    stated = float(told[:, 1].square().mean().sqrt())
    assert 0.85 < stated / spread < 1.65
    value, error = kid(cloud(200, 1.0, 1), cloud(200, 0.0, 2))
    assert value > 5 * error > 0


def test_kid_refuses():
    with pytest.raises(ValueError, match=r"x, y = .*\(19, 5\), \(40, 5\)"):
        kid(cloud(19, 0, 0), cloud(40, 0, 1))
    with pytest.raises(ValueError, match="y is not finite"):
        kid(cloud(30, 0, 0), cloud(40, math.nan, 1))


# ---- weights and classes


def test_moments_by_weights_are_those_of_repeated_rows():
    """Whole weights, as if each row stood there so often; the divisor is that of the formula."""
    x, times = cloud(12, 0.0, 8), torch.arange(12) % 3
    a, b = moments(x, times), moments(x.repeat_interleave(times, 0))
    p = times / times.sum()
    torch.testing.assert_close(a.mean, b.mean)
    factor = (1 - float(p.square().sum())) / (1 - 1 / b.n)
    torch.testing.assert_close(a.covariance * factor, b.covariance)
    even = moments(x, torch.ones(12))
    torch.testing.assert_close(even.covariance, moments(x).covariance)
    assert even.n == 12
    with pytest.raises(ValueError, match="weights"):
        moments(x, torch.eye(12)[0])


def test_the_floor_of_fixed_classes_is_lower():
    """Two clouds far apart: random sets of 50 miss the shares of the classes, fixed ones do not,
    and are left with the bias inside a class."""
    x = torch.cat([cloud(1000, 0.0, 9), cloud(1000, 10.0, 10)])
    labels = torch.arange(2000) // 1000
    g = torch.Generator().manual_seed(11)
    fixed, error = split_floor(x, torch.tensor([25, 25]), labels=labels, draws=100, generator=g)
    random, other = split_floor(x, 50, draws=100, generator=g)
    assert fixed + 3 * error < random - 3 * other
    uneven, _ = split_floor(x, torch.tensor([45, 5]), labels=labels, draws=100, generator=g)
    assert uneven < random  # the others are weighted to the same shares
    with pytest.raises(ValueError, match=r"n = .*\[1500, 10\]"):
        split_floor(x, torch.tensor([1500, 10]), labels=labels, generator=g)
