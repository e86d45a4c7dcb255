"""Tables of the diffusion against closed forms and loops, and the sampler with an exact denoiser."""

import math

import numpy as np
import pytest

from kdp_core.baselines.noise_schedule import NoiseSchedule, cosine_betas, sampler_steps

# Data of one number in two modes: m with probability w, both with standard deviation s.
MODES, SHARES, SPREAD = np.array([1.4, -0.8]), np.array([0.7, 0.3]), 0.25


def test_cosine_schedule_is_the_published_ratio_of_squared_cosines() -> None:
    steps = 20
    level = [math.cos((t / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(steps + 1)]
    got = cosine_betas(steps)
    for t in range(steps):
        assert got[t] == pytest.approx(min(1.0 - level[t + 1] / level[t], 0.999), rel=1e-12)
    assert got[-1] == 0.999 and (np.diff(got) > 0).all()


def test_abar_is_the_product_and_noise_composes_over_steps() -> None:
    schedule = NoiseSchedule.cosine(15)
    signal, variance = 1.0, 0.0
    for t in range(15):  # x_t = sqrt(1 - beta) x_{t-1} + sqrt(beta) e, step by step
        beta = schedule.betas[t]
        signal, variance = signal * math.sqrt(1.0 - beta), variance * (1.0 - beta) + beta
        assert signal == pytest.approx(math.sqrt(schedule.abar[t]), rel=1e-12)
        assert variance == pytest.approx(1.0 - schedule.abar[t], rel=1e-12)


def test_posterior_is_bayes_rule_of_two_gaussians() -> None:
    schedule = NoiseSchedule.cosine(12)
    start, noisy, variance = schedule.posterior()
    x_0, x_t = 0.7, -1.3
    for t in range(1, 12):
        beta, before = schedule.betas[t], schedule.abar[t - 1]
        # prior x_{t-1} | x_0 ~ N(sqrt(before) x_0, 1 - before), likelihood x_t | x_{t-1}
        precision = 1.0 / (1.0 - before) + (1.0 - beta) / beta
        mean = (math.sqrt(before) * x_0 / (1.0 - before) + math.sqrt(1.0 - beta) * x_t / beta) / precision
        assert start[t] * x_0 + noisy[t] * x_t == pytest.approx(mean, rel=1e-10)
        assert variance[t] == pytest.approx(1.0 / precision, rel=1e-10)
    assert (start[0], noisy[0], variance[0]) == pytest.approx((1.0, 0.0, 0.0), abs=1e-15)


@pytest.mark.parametrize("steps", [1, 5, 20, 100])
def test_full_noise_on_all_steps_is_ddpm(steps: int) -> None:
    schedule = NoiseSchedule.cosine(steps)
    start, noisy, variance = (values[::-1] for values in schedule.posterior())
    got = sampler_steps(schedule, steps, 1.0)
    assert got.time.tolist() == list(range(steps - 1, -1, -1))
    np.testing.assert_allclose(got.start, start, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got.noisy, noisy, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got.sigma**2, variance, rtol=1e-9, atol=1e-12)
    assert got.draws == steps


@pytest.mark.parametrize(("steps", "eta"), [(1, 0.0), (4, 0.0), (7, 0.3), (20, 0.0), (20, 0.6)])
def test_substeps_follow_the_published_formula(steps: int, eta: float) -> None:
    schedule = NoiseSchedule.cosine(20)
    table = sampler_steps(schedule, steps, eta)
    assert table.time[0] == 19 and len(set(table.time)) == steps
    x, x_0, e = 0.9, -0.4, 0.3
    for i, t in enumerate(table.time):
        here = schedule.abar[t]
        after = schedule.abar[table.time[i + 1]] if i + 1 < steps else 1.0
        sigma = eta * math.sqrt((1 - after) / (1 - here)) * math.sqrt(1 - here / after)
        predicted_noise = (x - math.sqrt(here) * x_0) / math.sqrt(1 - here)
        expected = math.sqrt(after) * x_0 + math.sqrt(1 - after - sigma**2) * predicted_noise + sigma * e
        assert table.start[i] * x_0 + table.noisy[i] * x + table.sigma[i] * e == pytest.approx(expected)
        assert (table.signal[i], table.noise[i]) == pytest.approx((math.sqrt(here), math.sqrt(1 - here)))
    assert table.sigma[-1] == 0.0 and (table.draws == 1) == (eta == 0.0 or steps == 1)


def exact_start(x: np.ndarray, abar: float) -> np.ndarray:
    """E[x_0 | x_t] of the two modes: what a perfect network would give."""
    variance = abar * SPREAD**2 + 1.0 - abar
    off = x[:, None] - math.sqrt(abar) * MODES
    weight = SHARES * np.exp(-0.5 * (off**2 - (off**2).min(axis=1, keepdims=True)) / variance)
    mean = MODES + math.sqrt(abar) * SPREAD**2 / variance * off
    return (weight * mean).sum(axis=1) / weight.sum(axis=1)


@pytest.mark.parametrize(("steps", "eta", "tolerance"), [(400, 1.0, 0.02), (400, 0.0, 0.02), (50, 0.0, 0.06)])
def test_exact_denoiser_reaches_both_modes(steps: int, eta: float, tolerance: float) -> None:
    rng = np.random.default_rng(1)
    table = sampler_steps(NoiseSchedule.cosine(400), steps, eta)
    x = rng.standard_normal(20_000)
    for i in range(steps):
        start = exact_start(x, table.signal[i] ** 2)
        x = table.start[i] * start + table.noisy[i] * x + table.sigma[i] * rng.standard_normal(len(x))
    major = x > 0.3
    assert major.mean() == pytest.approx(0.7, abs=0.02)
    assert x[major].mean() == pytest.approx(1.4, abs=0.02)
    assert x[~major].mean() == pytest.approx(-0.8, abs=0.03)
    assert x[major].std() == pytest.approx(SPREAD, rel=tolerance * 2)
    variance = 0.21 * 2.2**2 + SPREAD**2
    assert x.var() == pytest.approx(variance, rel=tolerance)
